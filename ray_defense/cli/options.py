"""The command line as typed data: the commands, their options, and one clear line for what is neither."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from jsonargparse import ArgumentError, ArgumentParser

from ray_defense import __version__
from ray_defense.core.errors import Refused, unknown
from ray_defense.core.seams import Backend

COMMANDS = {
    "run": "run a recipe; what the store already holds is not done again",
    "demo": "run digits_badnets: the whole path on a small dataset, without a download",
    "list": "name the recipes, and the units that --set can choose",
    "doctor": "say what this machine has, what is missing, and the line that installs it",
}
RUNNING = ("run", "demo")


@dataclass(frozen=True)
class RunOptions:
    """The options of `run` and `demo`."""

    recipe: str = "digits_badnets"
    set: tuple[str, ...] = ()  # KEY=VALUE
    store: str = "./store"
    executor: str = "ray"
    backend: Backend = "auto"
    data_root: str | None = None
    print_config: bool = False
    quiet: bool = False


def parse(argv: Sequence[str]) -> tuple[str, RunOptions | None]:
    """Returns the command, and its options if it runs a recipe.

    Raises Refused with the nearest known name for an unknown command or option, SystemExit after --help and --version.
    """
    _check_names(argv)
    try:
        parsed = _parser().parse_args(list(argv))
    except ArgumentError as error:
        raise Refused(" ".join(str(error).split()).rstrip(".") + ": see ray-defense --help") from None
    if parsed.command not in RUNNING:
        return parsed.command, None
    options = vars(parsed[parsed.command])
    return parsed.command, RunOptions(**options | {"set": tuple(options["set"])})


def _check_names(argv: Sequence[str]) -> None:
    command = argv[0] if argv else None
    if command is None:
        raise Refused(f"name a command: {', '.join(COMMANDS)} (see ray-defense --help)")
    known = {"--help"}
    if command.startswith("-"):
        known |= {"--version"}
    elif command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    elif command in RUNNING:
        names = {field.name for field in dataclasses.fields(RunOptions)} - {"recipe"}
        known |= {"--" + name.replace("_", "-") for name in names}
    for word in argv:
        if word.startswith("--") and word.split("=")[0] not in known:
            raise unknown("option", word.split("=")[0], known)


def _parser() -> ArgumentParser:
    about = "Finds poisoned samples in an image training set and trains or repairs a model without the backdoor."
    parser = ArgumentParser(prog="ray-defense", description=about, exit_on_error=False, default_env=False)
    parser.add_argument("--version", action="version", version=f"ray-defense {__version__}")
    commands = parser.add_subcommands(dest="command")
    for name, purpose in COMMANDS.items():
        commands.add_subcommand(name, _command_parser(name, purpose), help=purpose)
    return parser


def _command_parser(name: str, purpose: str) -> ArgumentParser:
    parser = ArgumentParser(description=purpose[0].upper() + purpose[1:] + ".", exit_on_error=False)
    if name not in RUNNING:
        return parser
    default = RunOptions()
    if name == "run":
        parser.add_argument("recipe", type=str, help="one of those that `ray-defense list` names")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="replace a value: probe.epochs=4; repeatable"
    )
    parser.add_argument("--store", type=str, default=default.store, metavar="DIR", help="where results are kept")
    parser.add_argument("--executor", choices=("ray", "local"), default=default.executor, help="local: this process")
    parser.add_argument("--backend", choices=get_args(Backend), default=default.backend, help="who reads the shards")
    parser.add_argument("--data-root", type=str | None, metavar="DIR", help="folder of downloaded datasets")
    parser.add_argument("--print-config", action="store_true", help="print the configuration that would run, as JSON")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser
