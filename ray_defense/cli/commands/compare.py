"""`ray-defense compare`: what two finished runs differ in."""

import argparse
from typing import TYPE_CHECKING, Any

from ray_defense.cli.parser import CommandParser

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ray_defense.exports.comparison import Comparison

_MAX_CHARACTERS = 200  # of a value
_NO_VERDICT = "none: its decision only ranks"


class CompareCommand:
    """Prints settings, verdicts and counts side by side, and the overlap of the flagged samples."""

    def add_options(self, parser: CommandParser) -> None:
        place = "the folder of an audit, or the directory of the store of a run or a detection"
        parser.add_argument("run", help=place)
        parser.add_argument("other", help=place)

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense.cli.output import stdout_console
        from ray_defense.exports.comparison import compare_runs

        comparison = compare_runs(options.run, options.other)
        stdout_console().print(comparison_table(comparison, options.run, options.other))
        return 0


def comparison_table(comparison: "Comparison", first: str, second: str) -> "RenderableType":
    """Returns a comparison as a table and lines.

    Args:
        comparison: Of two runs.
        first: What the first is called.
        second: What the second is called.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for title in ("", first, second):
        table.add_column(Text(_shown(title)), overflow="fold")
    table.add_row(
        "verdict", *[Text(_shown(verdict or _NO_VERDICT)) for verdict in comparison.verdicts]
    )
    for part, (count, other) in comparison.counts.items():
        table.add_row(part, str(count), str(other))
    for path, values in comparison.settings.items():
        table.add_row(Text(_shown(path)), *[Text(_shown(value)) for value in values])
    lines = [_overlap_line(comparison)]
    if not comparison.same_data:
        lines.append(
            "the datasets differ, or were ingested apart: equal indices mean the same sample only "
            "if files and their order are the same"
        )
    if not all(comparison.configured):
        lines.append("a configuration is not known, so settings were not compared")
    elif not comparison.settings:
        lines.append("the configurations are the same")
    return Group(table, *[Text(line) for line in lines])


def _overlap_line(comparison: "Comparison") -> str:
    if comparison.overlap is None:
        return "neither flags a sample"
    return (
        f"flagged by both: {len(comparison.both)}, by the first alone: "
        f"{len(comparison.only_first)}, by the second alone: {len(comparison.only_second)} "
        f"(overlap {100 * comparison.overlap:.1f} %)"
    )


def _shown(value: Any) -> str:
    from ray_defense.core.escape_unprintable import escape_unprintable
    from ray_defense.data.text import shortened

    return escape_unprintable(shortened(value, _MAX_CHARACTERS))


COMPARE = CompareCommand()
