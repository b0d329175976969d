"""How commands print: as wide as the terminal, and each path on a line of its own, unbroken."""

import sys
from pathlib import Path

from rich.console import Console

from ray_defense.core.escape_unprintable import escape_unprintable

WIDTH = 100  # of output that goes to a file


def stdout_console() -> Console:
    """Returns the console of standard output."""
    width = None if sys.stdout.isatty() else WIDTH
    return Console(width=width, highlight=False)


def print_named(console: Console, name: str, value: str | Path) -> None:
    """Prints `name: value` unbroken, without markup."""
    console.print(f"{name}: {escape_unprintable(value)}", soft_wrap=True, markup=False)
