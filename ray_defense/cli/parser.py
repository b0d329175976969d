"""A command line read into its typed options, with one clear line for what is none."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from jsonargparse import ArgumentError, ArgumentParser

from ray_defense import __version__
from ray_defense.cli.options import ATTACKS_COMMANDS, COMMANDS, OPTIONS, POSITIONAL, Options, RunOptions, Work
from ray_defense.core.errors import Refused, unknown
from ray_defense.execution.protocols import Backend

_SCORES_ONLY = ("backdoor=none", "d_br=none", "d_st=none")  # what `score` sets last


def parse(argv: Sequence[str]) -> tuple[str, Options | None]:
    """Returns the command (`run`, `attacks check`), and its options if it has any.

    Raises Refused with the nearest known name for an unknown command or option, SystemExit after --help and --version.
    """
    _check_names(argv)
    try:
        parsed = _parser().parse_args(list(argv))
    except ArgumentError as error:
        raise Refused(" ".join(str(error).split()).rstrip(".") + ": see ray-defense --help") from None
    command, values = parsed.command, vars(parsed).get(parsed.command)
    if command == "attacks":
        name = values.attacks_command
        command, values = f"{command} {name}", values[name]
    if command == "score":
        values.set = [*values.set, *_SCORES_ONLY]
    return command, _typed(OPTIONS[command], vars(values)) if command in OPTIONS else None


def _typed(kind: type[Options], values: Mapping[str, Any]) -> Options:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    shared = {field.name for field in dataclasses.fields(Work)} & values.keys()
    own = {name: value for name, value in values.items() if name not in shared}
    return kind(Work(**{name: values[name] for name in shared}), **own)


def _check_names(argv: Sequence[str]) -> None:
    command = _check_command("command", argv[:1], COMMANDS, "ray-defense --help")
    if command == "attacks":
        under = _check_command("command of attacks", argv[1:2], ATTACKS_COMMANDS, "ray-defense attacks --help")
        command = f"attacks {under}"
    known = {"--help"}
    if command.startswith("-"):
        known |= {"--version"}
    elif command in OPTIONS:
        names = {field.name for field in (*dataclasses.fields(Work), *dataclasses.fields(OPTIONS[command]))}
        known |= {"--" + name.replace("_", "-") for name in names - {"work", POSITIONAL[command]}}
    for word in argv:
        if word.startswith("--") and word.split("=")[0] not in known:
            raise unknown("option", word.split("=")[0], known)


def _check_command(kind: str, words: Sequence[str], commands: Mapping[str, str], see: str) -> str:
    """Returns the command that `words` (one or none) name, or the option that stands there."""
    if not words:
        raise Refused(f"name a {kind}: {', '.join(commands)} (see {see})")
    if not words[0].startswith("-") and words[0] not in commands:
        raise unknown(kind, words[0], commands)
    return words[0]


def _parser() -> ArgumentParser:
    about = "Finds poisoned samples in an image training set and trains or repairs a model without the backdoor."
    parser = ArgumentParser(prog="ray-defense", description=about, exit_on_error=False, default_env=False)
    parser.add_argument("--version", action="version", version=f"ray-defense {__version__}")
    commands = parser.add_subcommands(dest="command")
    for name, purpose in COMMANDS.items():
        below = _command_parser(name, purpose)
        commands.add_subcommand(name, below, help=purpose)
        if name == "attacks":
            under = below.add_subcommands(dest="attacks_command")
            for part, what in ATTACKS_COMMANDS.items():
                under.add_subcommand(part, _command_parser(f"{name} {part}", what), help=what)
    return parser


def _command_parser(name: str, purpose: str) -> ArgumentParser:
    parser = ArgumentParser(description=purpose[0].upper() + purpose[1:] + ".", exit_on_error=False)
    if name not in OPTIONS:
        return parser
    default, recipes = Work(), "one of those that `ray-defense list` names"
    if POSITIONAL[name] == "recipe" and name != "demo":
        parser.add_argument("recipe", type=str, help=recipes)
    elif name == "attacks preview":
        parser.add_argument("attack", type=str, help="one of those that `ray-defense list` names")
        parser.add_argument("--source", type=str | None, metavar="NAME", help="whose images, if not the recipe's")
        parser.add_argument("--output", type=str | None, metavar="FILE", help="the PNG to write, if not ATTACK.png here")
    elif name == "attacks check":
        parser.add_argument(
            "attacks", type=str, nargs="*", default=[], metavar="attack", help=f"{recipes}; all, if none is named"
        )
    if name in ("attacks preview", "attacks check"):
        parser.add_argument("--recipe", type=str, default=default.recipe, metavar="NAME", help="what to take all else from")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value: probe.epochs=4; repeatable"
    )
    kept = "where results are kept: a directory, or a URI (s3://bucket/prefix)"
    parser.add_argument("--store", type=str, default=default.store, metavar="PLACE", help=kept)
    if name != "report":  # it is made here, by NumPy
        parser.add_argument("--executor", choices=("ray", "local"), default=default.executor, help="local: this process")
        parser.add_argument("--backend", choices=get_args(Backend), default=default.backend, help="who reads the shards")
        spread = "where Ray runs it: actors=4, gpus_per_actor=0.5, spread=true, nodes=2 (no result changes); repeatable"
        parser.add_argument("--placement", action="append", default=[], metavar="KEY=VALUE", help=spread)
    parser.add_argument("--data-root", type=str | None, metavar="DIR", help="folder of downloaded datasets")
    if name == "sweep":
        parser.add_argument(
            "--grid",
            action="append",
            default=[],
            metavar="PATH=VALUE,VALUE",
            help="an axis: seed=0,1,2 or score.tau=all-pairs; values with commas stand apart by semicolons; repeatable",
        )
        parser.add_argument("--named", type=str | None, metavar="NAME", help="a figure of the paper that `list` names")
        parser.add_argument("--samples", type=int | None, metavar="N", help="run N trials drawn from the grid, not all")
        lead = "poisoned_concentration, probe_train_accuracy, ...: a number that needs no truth and no test set"
        parser.add_argument("--search", choices=("optuna",), help="choose the N one after another by Optuna, not by chance")
        parser.add_argument("--metric", type=str | None, metavar="NAME", help=f"what leads the search: {lead}")
        parser.add_argument("--mode", choices=("max", "min"), help="whether more or less of it is better, if not as usual")
        parser.add_argument("--batch", type=int | None, metavar="N", help="trials that the search asks for at a time")
        early = "stop trials early that do worse than most (ASHA): backdoored.loss, probe.accuracy:max"
        parser.add_argument("--asha", type=str | None, metavar="STAGE.METRIC", help=early)
        parser.add_argument("--resume", action="store_true", help="only go on with a sweep that the store holds unfinished")
        parser.add_argument("--plan", action="store_true", help="print what would run and what the store holds; run nothing")
    if name == "benchmark":
        parser.add_argument("--repeats", type=int, default=3, metavar="N", help="how often, each time from the start")
    if OPTIONS[name] is RunOptions:
        parser.add_argument("--print-config", action="store_true", help="print the configuration that would run, as JSON")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser
