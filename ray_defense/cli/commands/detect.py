"""`ray-defense detect`: is there a backdoor in the data, where, and how sure is that?"""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import (
    WorkOptions,
    add_print_config_option,
    add_recipe_options,
    add_work_options,
    print_config,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ray_defense.reports.detection import Detection


class DetectCommand:
    """Prints the verdict, what each column of the evidence contributed, and where the files are."""

    def add_options(self, parser: CommandParser) -> None:
        add_recipe_options(parser)
        add_work_options(parser)
        add_print_config_option(parser)

    def execute(self, options: argparse.Namespace) -> int:
        work = WorkOptions.of(options)
        with work.prepared(quiet=options.print_config):
            config = work.configured()
            if options.print_config:
                print_config(config)
                return 0
            from ray_defense import api

            detection = api.detect(config, **work.where())
        from ray_defense.cli.output import print_named, stdout_console

        console = stdout_console()
        console.print(detection_table(detection))
        for name, path in detection.files.items():
            print_named(console, name, path)
        return 0


def detection_table(detection: "Detection") -> "RenderableType":
    """Returns the verdict, the counts, what the columns of the evidence say, and the notes."""
    from rich.console import Group
    from rich.text import Text

    from ray_defense.cli.tables.run_table import warning_lines
    from ray_defense.core.escape_unprintable import escape_unprintable

    counts = ", ".join(f"{count} {part}" for part, count in detection.counts.items())
    title = f"{escape_unprintable(detection.recipe)}, seed {detection.seed}: {counts}"
    parts: list[RenderableType] = [Text(_verdict_line(detection), style="bold"), Text(title)]
    columns = detection.details.get("columns")
    if columns:
        parts.append(_columns_table(columns))
    parts.extend(_power_lines(detection.power))
    return Group(*parts, *warning_lines(detection.notes))


def _verdict_line(detection: "Detection") -> str:
    if detection.verdict is None:
        return (
            "no verdict: this decision flags a fixed share of any dataset, so the flagged samples "
            "are candidates and no finds"
        )
    from ray_defense.cli.tables.verdict_line import verdict_line

    suspected = list(map(str, detection.labels_suspected))
    return verdict_line(detection.verdict, detection.details, suspected)


def _columns_table(columns: "list[Mapping[str, Any]]") -> "RenderableType":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from ray_defense.core.escape_unprintable import escape_unprintable

    table = Table(box=SIMPLE_HEAD)
    for title in ("column", "evidence", "flagged", "agrees", "not assessable because"):
        table.add_column(title)
    for column in columns:
        table.add_row(
            column["column"],
            "yes" if column["gives_evidence"] else "no",
            str(column["num_flagged"]),
            "yes" if column["agrees"] else "no",
            Text(escape_unprintable(column["reason"] or "")),
        )
    return table


def _power_lines(power: "Mapping[str, Any] | None") -> "list[RenderableType]":
    """Returns how many planted canaries were found, a line a family."""
    from rich.text import Text

    if power is None:
        return []
    found: dict[str, list[str]] = {}
    for canary in power["canaries"]:
        kind = "clean label" if canary["keeps_label"] else "dirty label"
        family = f"{canary['family']}, {kind}"
        found.setdefault(family, []).append(f"{canary['num_found']} of {canary['num_planted']}")
    lines: list[RenderableType] = []
    for family, counts in found.items():
        lines.append(Text(f"canaries found, {family}: {', '.join(counts)}"))
    return lines


DETECT = DetectCommand()
