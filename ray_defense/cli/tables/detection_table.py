"""What detection says, as lines and a table: the verdict, the counts, the columns, the notes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ray_defense.cli.output import print_named, stdout_console
from ray_defense.cli.tables.run_table import warning_lines
from ray_defense.cli.tables.verdict_line import verdict_line
from ray_defense.core.escape_unprintable import escape_unprintable


class Detected(Protocol):
    """What a detection found, just now or in a store."""

    @property
    def seed(self) -> int | None:
        """The seed of the detection; None where it is not known."""

    @property
    def counts(self) -> Mapping[str, int]:
        """The samples of each part of the split."""

    @property
    def details(self) -> Mapping[str, Any]:
        """The content of `verdict.json`; empty for a decision without a verdict."""

    @property
    def notes(self) -> Sequence[str]:
        """What a reader should doubt."""

    @property
    def files(self) -> Mapping[str, str | Path]:
        """The path of each file, by its name."""


def print_detection(name: str, detected: Detected) -> None:
    """Prints the verdict, the counts, what the columns of the evidence say, notes, and files.

    Args:
        name: What was looked at.
        detected: What was found.
    """
    console = stdout_console()
    console.print(_detection_table(name, detected))
    for file, path in detected.files.items():
        print_named(console, file, path)


def _detection_table(name: str, detected: Detected) -> RenderableType:
    parts_of_split = ", ".join(f"{count} {part}" for part, count in detected.counts.items())
    seed_text = "" if detected.seed is None else f", seed {detected.seed}"
    title = f"{escape_unprintable(name)}{seed_text}: {parts_of_split}"
    details = detected.details
    parts: list[RenderableType] = [Text(_verdict_line(details), style="bold"), Text(title)]
    columns = details.get("columns")
    if columns:
        parts.append(_columns_table(columns))
    parts.extend(_power_lines(details.get("power")))
    return Group(*parts, *warning_lines(detected.notes))


def _verdict_line(details: Mapping[str, Any]) -> str:
    if not details:
        return (
            "no verdict: this decision flags a fixed share of any dataset, so the flagged samples "
            "are candidates and no finds"
        )
    suspected = list(map(str, details["labels_suspected"]))
    return verdict_line(details["verdict"], details, suspected)


def _columns_table(columns: Sequence[Mapping[str, Any]]) -> RenderableType:
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


def _power_lines(power: Mapping[str, Any] | None) -> list[RenderableType]:
    """Returns how many planted canaries were found, a line a family."""
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
