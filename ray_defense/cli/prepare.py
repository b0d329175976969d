"""What every command that runs something does first: environment, warnings, progress, and the configuration asked for."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_defense.cli.bars import bars
from ray_defense.cli.options import Work
from ray_defense.core.config import override
from ray_defense.core.errors import Refused
from ray_defense.execution.placement import ANYWHERE

if TYPE_CHECKING:
    from ray_defense.pipeline.pipeline import Recipe


@contextlib.contextmanager
def prepared(work: Work, *, quiet: bool) -> Iterator[None]:
    """Runs the body with the data root that `work` names, without the warnings of others, with progress unless `quiet`."""
    if work.data_root is not None:
        os.environ["RAY_DEFENSE_DATA"] = str(Path(work.data_root).expanduser().resolve())  # workers inherit it
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of Ray's and torch's own imports; `python -W default` shows them
    if work.backend == "auto" and not work.quiet and find_spec("ffcv") is None:
        print("FFCV is not installed: shards are read by NumPy, with identical tensors", file=sys.stderr)
    with bars(quiet=quiet):
        yield


def where(work: Work) -> dict[str, Any]:
    """Returns what every call that runs something is given beside the recipe: the store, and who works where."""
    placement = ANYWHERE
    for assignment in work.placement:
        placement = override(placement, *_pair("--placement", assignment, "actors=4"))
    return {"store": work.store, "executor": work.executor, "backend": work.backend, "placement": placement}


def configured(work: Work, **chosen: str | None) -> "Recipe":
    """Returns the recipe with the units `chosen` by name (None: the recipe's), then with what `--set` replaces."""
    from ray_defense.pipeline import recipes  # seconds: they load torch

    config = recipes.recipe(work.recipe)
    for key, name in chosen.items():
        if name is not None:
            config = override(config, key, name)
    for assignment in work.set:
        key, value = _pair("--set", assignment, "probe.epochs=4")
        if chosen.get(key) is not None:
            raise Refused(f"--set {assignment}: the {key} is already chosen, it is {chosen[key]}; leave one of the two out")
        config = override(config, key, value)
    return config


def _pair(option: str, assignment: str, example: str) -> tuple[str, str]:
    key, equals, value = assignment.partition("=")
    if not key or not equals:
        raise Refused(f"{option} needs KEY=VALUE, not {assignment!r}: for example {option} {example}")
    return key, value
