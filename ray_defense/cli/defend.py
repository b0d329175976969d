"""`ray-defense defend`: the split and the defended models of data whose answers nobody knows or nobody may see."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from ray_defense.cli.inert import inert
from ray_defense.cli.options import DefendOptions
from ray_defense.cli.output import say, stdout
from ray_defense.cli.prepare import configured, prepared, where
from ray_defense.cli.table import warnings

if TYPE_CHECKING:
    from ray_defense.reports.result import Defended


def defend(options: DefendOptions) -> int:
    """Makes what is missing and prints the counts of the split, what to doubt, and where split and models are."""
    work, console = options.work, stdout()
    with prepared(work, quiet=work.quiet):
        from ray_defense import api  # seconds: it loads torch

        made = api.defend(configured(work), **where(work))
    console.print(render(made))
    for name, path in made.files.items():
        say(console, name, path)
    return 0


def render(made: "Defended") -> RenderableType:
    """Returns the counts and the notes."""
    counts = ", ".join(f"{count} {name}" for name, count in made.counts.items())
    return Group(Text(f"{inert(made.recipe)}, seed {made.seed}: {counts}"), *warnings(made.notes))
