"""The rows of a sweep's page."""

from typing import Any

from ray_defense.reports.metrics import LABEL_FREE


def full_row(trial: int, **columns: Any) -> dict[str, Any]:
    """Returns a row with every column that the page asks for."""
    row = {"trial": trial, "auroc": 0.5, "trusted_precision": None, "flagged_precision": 0.75}
    row.update(dict.fromkeys(LABEL_FREE))
    row.update({"weak_attack": None, "refused": None, "stopped": None})
    row.update(columns)
    return row
