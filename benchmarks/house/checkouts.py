"""Checkouts of this repository that are compared, by name."""

import argparse
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support import ROOT


@dataclass(frozen=True)
class Checkout:
    """One state of the code."""

    name: str
    path: Path

    def commit(self) -> str | None:
        """Returns the commit, `-dirty` where files were changed, or None without git."""
        if not (self.path / ".git").exists():
            return None
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=self.path,
            capture_output=True,
            text=True,
            check=True,
        )
        return described.stdout.strip()


def parse_checkout(text: str) -> Checkout:
    """Returns the checkout that NAME=DIR describes.

    Raises:
        argparse.ArgumentTypeError: If DIR holds no ray_defense.
    """
    name, _, directory = text.partition("=")
    path = Path(directory).resolve()
    if not directory or not (path / "ray_defense").is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=DIR with a ray_defense in DIR")
    return Checkout(name, path)


def add_checkout_option(parser: argparse.ArgumentParser) -> None:
    """Adds --checkout NAME=DIR."""
    parser.add_argument(
        "--checkout",
        action="append",
        type=parse_checkout,
        metavar="NAME=DIR",
        help="a checkout to be measured, repeatable (default: now=., this one)",
    )


def chosen_checkouts(options: argparse.Namespace) -> list[Checkout]:
    """Returns the checkouts that were given, or this one."""
    return options.checkout or [Checkout("now", ROOT)]
