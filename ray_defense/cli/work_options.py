"""The options of every command that runs something: what, from where, where to, and how."""

import argparse
import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ray_defense.cli.parser import CommandParser
from ray_defense.core.config import override, override_all
from ray_defense.core.errors import InputError
from ray_defense.execution.placement import ANYWHERE
from ray_defense.execution.protocols import Backend

if TYPE_CHECKING:
    from ray_defense.pipeline.recipe import Recipe

DEFAULT_RECIPE = "digits_badnets"
DEFAULT_STORE = "./store"
RECIPES_HELP = "one of the recipes that `ray-defense list` names"
_CONFIG_HELP = "the recipe as a file, JSON or YAML: what --print-config wrote"
# What Ray reads in the process of a command; a program with this library may want it otherwise.
_RAY_IN_COMMANDS = {
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that outlives the connection starts no other Ray
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # pages of raylets on stdout: what fails is told by us
}


@dataclass(frozen=True)
class WorkOptions:
    """What a command runs, and where."""

    recipe: str | None  # its name
    config: str | None  # the file that describes the recipe, where it has no name
    assignments: tuple[str, ...]  # KEY=VALUE, of --set
    store: str
    executor: str
    backend: Backend
    placements: tuple[str, ...]  # KEY=VALUE
    data_root: str | None
    quiet: bool
    events: str | None = None  # a file, or where `event_sinks` sends them

    @classmethod
    def of(cls, options: argparse.Namespace) -> "WorkOptions":
        """Returns the options that a parser of `add_work_options` read."""
        return cls(
            recipe=options.recipe,
            config=getattr(options, "config", None),
            assignments=tuple(options.set),
            store=options.store,
            executor=getattr(options, "executor", "local"),
            backend=getattr(options, "backend", "auto"),
            placements=tuple(getattr(options, "placement", ())),
            data_root=options.data_root,
            quiet=options.quiet,
            events=options.events,
        )

    @contextlib.contextmanager
    def prepared(self, *, quiet: bool = False) -> Iterator[None]:
        """Runs the body with the named data root, without others' warnings, showing progress.

        Args:
            quiet: Whether no progress is shown even without --quiet.
        """
        from ray_defense.cli.event_sinks import sending_events
        from ray_defense.cli.progress_display import showing_progress

        if self.data_root is not None:
            # Workers inherit the variable.
            os.environ["RAY_DEFENSE_DATA"] = str(Path(self.data_root).expanduser().resolve())
        for name, value in _RAY_IN_COMMANDS.items():
            os.environ.setdefault(name, value)
        if not sys.warnoptions:
            # Of Ray's and torch's own imports; `python -W default` shows them.
            warnings.simplefilter("ignore")
        quiet = quiet or self.quiet
        recording: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if self.events is not None:
            recording = sending_events(self.events)
        with showing_progress(quiet=quiet), recording:
            yield

    def where(self) -> dict[str, Any]:
        """Returns the arguments of an `api` call that say where results go and work is done."""
        placement = ANYWHERE
        for assignment in self.placements:
            key, value = split_assignment("--placement", assignment, "actors=4")
            placement = override(placement, key, value)
        return {
            "store": self.checked_store(),
            "executor": self.executor,
            "backend": self.backend,
            "placement": placement,
        }

    def checked_store(self) -> str:
        """Returns the location of the store.

        Raises:
            InputError: For a directory that is not UTF-8, or that would go with a submitted job.
        """
        from ray_defense.cluster.session import is_submitted_job
        from ray_defense.store.remote import local_directory

        directory = local_directory(self.store)
        if directory is None:
            return self.store
        try:
            str(directory).encode()
        except UnicodeEncodeError:
            raise InputError(
                f"the path of the store is not UTF-8, {str(directory)!r}: Ray and Parquet take no "
                "other; choose another --store"
            ) from None
        is_absolute = os.path.isabs(os.path.expanduser(self.store)) or "://" in self.store
        if is_submitted_job() and not is_absolute:
            raise InputError(
                f"the store {self.store!r} of a submitted job would be in the copy of the code "
                'that Ray deletes: give an absolute path, --store "$PWD/store", or a URI'
            )
        return self.store

    def _base(self) -> "Recipe":
        """Returns the recipe that is named, or that a file describes."""
        from ray_defense.pipeline.recipes import RECIPES, named_recipe

        if self.config is None:
            if self.recipe is None:
                raise InputError("name a recipe (see ray-defense list), or --config FILE")
            if self.recipe not in RECIPES and Path(self.recipe).is_file():
                raise InputError(
                    f"{self.recipe!r} is a file and no recipe: read it with --config {self.recipe}"
                )
            return named_recipe(self.recipe)
        if self.recipe is not None:
            raise InputError(
                f"--config {self.config}: the recipe is already chosen, it is {self.recipe}; leave "
                "one of the two out"
            )
        from ray_defense.pipeline.config_file import read_recipe

        return read_recipe(self.config)

    def overrides(self) -> dict[str, str]:
        """Returns what `--set` replaces, by path."""
        overrides = {}
        for assignment in self.assignments:
            key, value = split_assignment("--set", assignment, "probe.epochs=4")
            overrides[key] = value
        return overrides

    def configured(self, **chosen: str | None) -> "Recipe":
        """Returns the recipe with what `--set` replaces.

        Args:
            **chosen: Units chosen by other options, by field; None leaves the recipe's.

        Raises:
            InputError: For an unknown recipe, key or value, or a unit that is chosen twice.
        """
        config = self._base()
        for key, name in chosen.items():
            if name is not None:
                config = override(config, key, name)
        assignments = []
        for assignment in self.assignments:
            key, value = split_assignment("--set", assignment, "probe.epochs=4")
            if chosen.get(key) is not None:
                raise InputError(
                    f"--set {assignment}: the {key} is already chosen, it is {chosen[key]}; "
                    "leave one of the two out"
                )
            assignments.append((key, value))
        return override_all(config, assignments)


def add_recipe_options(parser: CommandParser) -> None:
    """Adds the recipe of `WorkOptions`: a name, or a file."""
    parser.add_argument("recipe", nargs="?", help=RECIPES_HELP)
    parser.add_argument("--config", metavar="FILE", help=_CONFIG_HELP)


def add_print_config_option(parser: CommandParser) -> None:
    """Adds --print-config, after which a command calls `print_config` and runs nothing."""
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print the configuration that would run, as JSON",
    )


def print_config(config: "Recipe") -> None:
    """Prints a configuration as JSON."""
    from ray_defense.core.config import to_plain

    print(json.dumps(to_plain(config), indent=2))


def split_assignment(option: str, assignment: str, example: str) -> tuple[str, str]:
    """Returns key and value of `KEY=VALUE`.

    Raises:
        InputError: For anything else, with an example.
    """
    key, equals, value = assignment.partition("=")
    if not key or not equals:
        raise InputError(
            f"{option} needs KEY=VALUE, not {assignment!r}: for example {option} {example}"
        )
    return key, value


def add_work_options(parser: CommandParser, *, executor: bool = True, store: bool = True) -> None:
    """Adds the options of `WorkOptions` but the recipe.

    Args:
        parser: The parser of a command.
        executor: Whether the command hands work to an executor.
        store: Whether the user names the store.
    """
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replace a value: probe.epochs=4; repeatable",
    )
    if store:
        parser.add_argument(
            "--store",
            default=DEFAULT_STORE,
            metavar="PLACE",
            help="where results are kept: a directory, or a URI (s3://bucket/prefix)",
        )
    if executor:
        parser.add_argument(
            "--executor", choices=("ray", "local"), default="ray", help="local: this process"
        )
        parser.add_argument(
            "--backend",
            choices=get_args(Backend),
            default="auto",
            help="who reads the shards; auto: NumPy, the faster one",
        )
        parser.add_argument(
            "--placement",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="where Ray runs it: actors=4, gpus_per_actor=0.5, spread=true, nodes=2, "
            "patience_s=7200 (no result changes); repeatable",
        )
    parser.add_argument("--data-root", metavar="DIR", help="folder of downloaded datasets")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--events",
        metavar="PLACE",
        help="send each step of progress to a file, as JSON lines, to tensorboard:DIR, or to "
        "mlflow:DIR (or the URI of its server)",
    )
