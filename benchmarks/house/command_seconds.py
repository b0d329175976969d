"""Seconds of commands and imports in fresh processes: the median of several times, in turn.

    python -m benchmarks.house.command_seconds --checkout before=/path --checkout after=.

Every process has OMP_NUM_THREADS=1. A cached run finds everything in its store, which is filled
before. The first time of each command is not counted, as files are not in memory yet.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.house.checkouts import Checkout, add_checkout_option, chosen_checkouts
from benchmarks.support import StudyRun, open_study, study_parser

MODULE = "benchmarks.house.command_seconds"
RECIPE = "digits_badnets"
# Values that every checkout knows; the numbers of the run do not matter.
SHORT_RUN = (
    "probe.epochs=1",
    "probe.intra_epochs=1",
    "d_br.rounds=1",
    "d_st.epochs=1",
    "d_st.warmup_epochs=0",
    "d_st.classifier_epochs=1",
)
_COMMANDS = (
    "import ray_defense",
    "import ray_defense.api",
    "list",
    "run --print-config",
    "doctor",
    "cached run, local",
    "cached run, ray",
)


@dataclass(frozen=True)
class TimedCommand:
    """A command in a checkout."""

    name: str  # one of _COMMANDS
    checkout: Checkout
    store: Path  # for cached runs
    python: str

    def words(self) -> list[str]:
        """Returns what is typed."""
        cli = [self.python, "-m", "ray_defense"]
        run = [*cli, "run", RECIPE]
        if self.name.startswith("import "):
            return [self.python, "-c", self.name]
        if self.name == "run --print-config":
            return [*run, "--print-config"]
        if self.name.startswith("cached run"):
            executor = self.name.removeprefix("cached run, ")
            return [*run, "--quiet", "--store", str(self.store), "--executor", executor, *_set()]
        return [*cli, self.name]

    def seconds(self) -> float:
        """Runs the command in a fresh process and returns its seconds.

        Raises:
            SystemExit: If the command fails.
        """
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(self.checkout.path),
        }
        start = time.perf_counter()
        finished = subprocess.run(
            self.words(), cwd=self.checkout.path, env=environment, capture_output=True, text=True
        )
        seconds = time.perf_counter() - start
        if finished.returncode != 0:
            raise SystemExit(f"{self.name} in {self.checkout.path}: {finished.stderr}")
        return round(seconds, 3)


def _set() -> list[str]:
    words = []
    for assignment in SHORT_RUN:
        words += ["--set", assignment]
    return words


def plan_commands(
    names: Sequence[str], checkouts: Sequence[Checkout], pythons: Mapping[str, str], stores: Path
) -> list[TimedCommand]:
    """Returns the commands of every checkout.

    Args:
        names: Of the commands, from _COMMANDS.
        checkouts: Where they are run.
        pythons: The Python of a checkout by its name; this one where there is none.
        stores: Where each checkout has a store of its own.
    """
    commands = []
    for name in names:
        for checkout in checkouts:
            python = pythons.get(checkout.name, sys.executable)
            commands.append(TimedCommand(name, checkout, stores / checkout.name, python))
    return commands


def measure_commands(
    study: StudyRun,
    num_repeats: int,
    plan: Callable[[Path], list[TimedCommand]],
) -> dict[str, dict[str, Any]]:
    """Returns the seconds of every command by name and checkout.

    All commands of all checkouts take turns, so that what the machine does besides falls on all.

    Args:
        study: Keeps each time as it comes.
        num_repeats: How often each is counted.
        plan: Returns the commands, whose stores are in the folder it is given.
    """
    seconds: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        commands = plan(Path(folder))
        for turn in range(num_repeats + 1):  # the first fills stores and warms up
            for command in commands:
                of_command = seconds.setdefault(command.name, {})
                key = f"{command.name}, {command.checkout.name}, turn {turn}"
                of_checkout = of_command.setdefault(command.checkout.name, [])
                of_checkout.append(_measure_turn(study, key, command, turn))
    figures: dict[str, dict[str, Any]] = {}
    for name, of_command in seconds.items():
        figures[name] = {}
        for checkout_name, times in of_command.items():
            figures[name][checkout_name] = {
                "median_s": round(median(times[1:]), 3),
                "seconds": times[1:],
            }
    return figures


def _measure_turn(study: StudyRun, key: str, command: TimedCommand, turn: int) -> float:
    """Returns the seconds of one turn; the first is never kept, since it fills the store."""
    if turn == 0:
        return command.seconds()
    seconds: float = study.measure(key, command.seconds)
    return seconds


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    add_checkout_option(parser)
    parser.add_argument("--repeats", type=int, default=5, help="counted times (default: 5)")
    parser.add_argument(
        "--command", action="append", choices=_COMMANDS, help="repeatable (default: all)"
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="the Python of a checkout that needs other packages (default: this one)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the commands in every checkout."""
    options = command_parser().parse_args(arguments)
    checkouts = chosen_checkouts(options)
    names = options.command or _COMMANDS
    pythons = dict(assignment.split("=", 1) for assignment in options.python)
    plan = partial(plan_commands, names, checkouts, pythons)
    with open_study(MODULE, arguments, options.results) as study:
        figures = {
            "recipe": RECIPE,
            "num_repeats": options.repeats,
            "checkouts": [checkout.name for checkout in checkouts],
            "order": list(names),
            "commits": {checkout.name: checkout.commit() for checkout in checkouts},
            "commands": measure_commands(study, options.repeats, plan),
        }
        study.store("command_seconds", figures)


if __name__ == "__main__":
    main()
