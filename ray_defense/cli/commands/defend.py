"""`ray-defense defend`: split and defended models of data whose answers nobody may see."""

import argparse
from typing import TYPE_CHECKING

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import WorkOptions, add_recipe_options, add_work_options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ray_defense.reports.result import DefendedResult


class DefendCommand:
    """Prints the counts of the split, what to doubt, and where split and models are."""

    def add_options(self, parser: CommandParser) -> None:
        add_recipe_options(parser)
        add_work_options(parser)

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api
        from ray_defense.cli.output import print_named, stdout_console

        work = WorkOptions.of(options)
        with work.prepared():
            result = api.defend(work.configured(), **work.where())
        console = stdout_console()
        console.print(defended_table(result))
        for name, path in result.files.items():
            print_named(console, name, path)
        return 0


def defended_table(result: "DefendedResult") -> "RenderableType":
    """Returns the counts of the split and the notes."""
    from rich.console import Group
    from rich.text import Text

    from ray_defense.cli.escape_unprintable import escape_unprintable
    from ray_defense.cli.tables.run_table import warning_lines

    counts = ", ".join(f"{count} {part}" for part, count in result.counts.items())
    title = f"{escape_unprintable(result.recipe)}, seed {result.seed}: {counts}"
    return Group(Text(title), *warning_lines(result.notes))


DEFEND = DefendCommand()
