"""What detection says, as lines and a table: the verdict, the counts, the columns, the notes."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ray_defense.cli.tables.run_table import warning_lines
from ray_defense.cli.tables.verdict_line import verdict_line
from ray_defense.core.escape_unprintable import escape_unprintable


def detection_table(
    name: str,
    seed: int | None,
    *,
    counts: Mapping[str, int],
    details: Mapping[str, Any],
    notes: Sequence[str],
) -> RenderableType:
    """Returns the verdict, the counts, what the columns of the evidence say, and the notes.

    Args:
        name: What was looked at.
        seed: Of the detection; None where it is not known.
        counts: Samples of each part of the split.
        details: The content of `verdict.json`; empty for a decision without a verdict.
        notes: What a reader should doubt.
    """
    parts_of_split = ", ".join(f"{count} {part}" for part, count in counts.items())
    seed_text = "" if seed is None else f", seed {seed}"
    title = f"{escape_unprintable(name)}{seed_text}: {parts_of_split}"
    parts: list[RenderableType] = [Text(_verdict_line(details), style="bold"), Text(title)]
    columns = details.get("columns")
    if columns:
        parts.append(_columns_table(columns))
    parts.extend(_power_lines(details.get("power")))
    return Group(*parts, *warning_lines(notes))


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
