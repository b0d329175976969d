"""How commands print: as wide as the terminal, and each path on a line of its own, however long."""

import sys
from pathlib import Path

from rich.console import Console

from ray_defense.cli.inert import inert

WIDTH = 100  # of output that goes to a file


def stdout() -> Console:
    """Returns the console of standard output."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def say(console: Console, name: str, what: str | Path) -> None:
    """Prints `name: what` unbroken, without markup."""
    console.print(f"{name}: {inert(what)}", soft_wrap=True, markup=False)
