"""Cells of a reproduced table from the rows of its sweeps: mean and range over seeds."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ray_defense.reports.reproduction import Rate, ReproducedCell
from ray_defense.studies.reproduction import BACKDOORED, Panel, Reproduction

_OF_SCORES = ("auroc", "trusted_precision", "flagged_precision")
_PERCENT = 100

Rows = Sequence[Mapping[str, Any]]
CellKey = tuple[str, str | None]  # attack and column; None where the columns are models


def reproduced_cells(reproduction: Reproduction, panel: Panel, rows: Rows) -> list[ReproducedCell]:
    """Returns the cells of a panel, attack by attack.

    Args:
        reproduction: What is reproduced.
        panel: The sweep.
        rows: Those of the sweep's trials that have a result.
    """
    cells = []
    for (attack, column), of_column in _by_attack_and_column(panel, rows).items():
        for model in panel.models or (None,):
            cell = _cell(reproduction, panel, of_column, attack=attack, column=column, model=model)
            cells.append(cell)
    return cells


def first_of_each_cell(panel: Panel, rows: Rows) -> dict[CellKey, Mapping[str, Any]]:
    """Returns the row of the first seed of each attack and column."""
    return {key: of_key[0] for key, of_key in _by_attack_and_column(panel, rows).items()}


def _by_attack_and_column(panel: Panel, rows: Rows) -> dict[CellKey, Rows]:
    grouped: dict[CellKey, Rows] = {}
    for attack in dict.fromkeys(str(row["attack"]) for row in rows):
        of_attack = [row for row in rows if row["attack"] == attack]
        for column, of_column in _by_column(panel, of_attack).items():
            grouped[attack, column] = of_column
    return grouped


def _by_column(panel: Panel, rows: Rows) -> dict[str | None, Rows]:
    """Returns the rows of each column; all of them under None where the columns are models."""
    if panel.variant is not None:
        return {panel.variant.title: rows}
    if panel.axis is None:
        return {None: rows}
    by_value: dict[str | None, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_value.setdefault(str(row[panel.axis.path]), []).append(row)
    return dict(by_value)


def _cell(
    reproduction: Reproduction,
    panel: Panel,
    rows: Rows,
    *,
    attack: str,
    column: str | None,
    model: str | None,
) -> ReproducedCell:
    shown = column if column is not None else model or ""
    paper = None
    if reproduction.paper is not None:
        paper = reproduction.paper.cells.get(attack, {}).get(shown)
    scores = {}
    for name in _OF_SCORES:
        values = _values(rows, name)
        if values:
            scores[name] = fmean(values)
    reading = "" if panel.variant is None else panel.variant.reading
    defenses = {defense.name: defense for defense in panel.recipe.defenses}
    title = ""
    needs = ""
    if model == BACKDOORED:
        title = "backdoored model"
    elif model is not None:
        title = defenses[model].title
        needs = defenses[model].needs
    return ReproducedCell(
        recipe=panel.recipe.name,
        attack=attack,
        column=shown,
        model=title,
        needs=needs,
        num_seeds=len(rows),
        acc=_rate(rows, f"{model}_{reading}acc"),
        asr=_rate(rows, f"{model}_{reading}asr"),
        robust_acc=_rate(rows, f"{model}_{reading}robust_acc"),
        weak_attack=any(bool(row.get("weak_attack")) for row in rows),
        paper=paper,
        scores=scores,
    )


def _values(rows: Rows, column: str) -> list[float]:
    return [row[column] for row in rows if row.get(column) is not None]


def _rate(rows: Rows, column: str) -> Rate | None:
    values = [_PERCENT * value for value in _values(rows, column)]
    if not values:
        return None
    return Rate(fmean(values), min(values), max(values))
