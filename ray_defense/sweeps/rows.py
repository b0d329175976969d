"""The rows of a sweep's table: the numbers of each trial under flat names, kept one by one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.core.sealed import read_sealed_json, write_sealed_json
from ray_defense.pipeline.plan import Plan
from ray_defense.reports.metrics import LABEL_FREE
from ray_defense.reports.result import Result
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_json
from ray_defense.sweeps.grid import Trial

_ALWAYS_SHOWN = ("backdoored", "d_br", "d_st")
_OF_SCORES = ("auroc", "trusted_precision", "flagged_precision")
_RATES = (
    "acc",
    "asr",
    "robust_acc",
    "target_excluded_acc",  # D8
    # Of the round with the largest ACC - ASR: an oracle's choice, for comparison alone (D7).
    "best_round_acc",
    "best_round_asr",
)


@dataclass(frozen=True)
class RowFolder:
    """The rows of the trials that are done, and the errors of those that failed, one file each."""

    path: Path

    def has(self, trial: Trial) -> bool:
        """Returns whether a trial has a row."""
        return self._file(trial).exists()

    def read(self, trial: Trial) -> dict[str, Any] | None:
        """Returns the row of a trial, or None if it has none."""
        file = self._file(trial)
        if not file.exists():
            return None
        row: dict[str, Any] = read_sealed_json(file)
        return row

    def write(self, trial: Trial, row: Mapping[str, Any]) -> None:
        """Keeps the row of a trial."""
        write_sealed_json(self._file(trial), row)

    def write_error(self, trial: Trial, error: Exception) -> None:
        """Keeps what a trial failed by."""
        write_sealed_json(self._file(trial).with_suffix(".error"), {"error": str(error)})

    def error(self, trial: Trial) -> str:
        """Returns what a trial without a row failed by."""
        file = self._file(trial).with_suffix(".error")
        if not file.exists():
            return "its process died"
        error: str = read_sealed_json(file)["error"]
        return error

    def _file(self, trial: Trial) -> Path:
        return self.path / f"{trial.number:05d}.json"


def empty_row(trial: Trial) -> dict[str, Any]:
    """Returns a row without numbers: every column is there and None."""
    row: dict[str, Any] = {"trial": trial.number, **dict(trial.changes)}
    columns = [*_OF_SCORES, "trusted_least", "trusted_most"]
    models = dict.fromkeys(_ALWAYS_SHOWN)
    models.update(dict.fromkeys(defense.name for defense in trial.recipe.defenses))
    for model in models:
        columns.extend(f"{model}_{rate}" for rate in _RATES)
    columns.extend(LABEL_FREE)
    columns.extend(("weak_attack", "refused", "stopped"))
    row.update(dict.fromkeys(columns))
    return row


def swept_paths(row: Mapping[str, Any]) -> list[str]:
    """Returns the dotted paths that the trials of a row's sweep change."""
    paths = []
    for column in row:
        if column == _OF_SCORES[0]:
            break
        if column != "trial":
            paths.append(column)
    return paths


def result_row(trial: Trial, result: Result, plan: Plan) -> dict[str, Any]:
    """Returns the row of a finished trial; rates are fractions in [0, 1].

    Args:
        trial: The trial.
        result: Its numbers.
        plan: Its artifacts, which hold the label-free metrics.
    """
    row = empty_row(trial)
    for name in _OF_SCORES:
        row[name] = getattr(result.score, name)
    counts = result.score.trusted_class_counts
    row["trusted_least"] = min(counts, default=None)
    row["trusted_most"] = max(counts, default=None)
    for model, rates in result.models.items():
        row[f"{model}_acc"] = rates.acc
        row[f"{model}_asr"] = rates.asr
        row[f"{model}_robust_acc"] = rates.robust_acc
        row[f"{model}_target_excluded_acc"] = rates.acc_target_excluded
        if rates.rounds:
            best = max(rates.rounds, key=_gain_by_test_data)
            row[f"{model}_best_round_acc"] = best["acc"]
            row[f"{model}_best_round_asr"] = best["asr"]
    row.update(measure_label_free(plan))
    row["weak_attack"] = result.weak_attack
    return row


def _gain_by_test_data(rates: Mapping[str, float | None]) -> float:
    """Returns ACC - ASR, by which the authors choose a round of D-BR; we only report it (D7)."""
    return (rates["acc"] or 0.0) - (rates["asr"] or 0.0)


def measure_label_free(plan: Plan) -> dict[str, float | None]:
    """Returns the label-free metrics of a finished plan; None where a stage is left out.

    The metric of a training stage comes from the last epoch that gave it; for D-BR, from the round
    that was kept.
    """
    from ray_defense.data.split_table import PARTS, read_split
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.scores.label_free import label_free_metrics
    from ray_defense.scores.split import SplitPositions

    artifacts = plan.artifacts("defended")
    dataset = SuspectDataset(plan.dataset.step.artifact.path)
    table = read_split(artifacts["split"].path)
    positions = SplitPositions(*[np.flatnonzero(table.part == part) for part in PARTS])
    of_split = label_free_metrics(table.score, dataset.labels, positions, dataset.num_classes)
    values: dict[str, float | None] = {}
    for metric in LABEL_FREE.values():
        if metric.stage is None:
            values[metric.name] = of_split[metric.name]
        elif metric.stage in artifacts and metric.epoch_metric is not None:
            values[metric.name] = _last_value(artifacts[metric.stage], metric.epoch_metric)
        else:
            values[metric.name] = None
    return values


def _last_value(trained: Artifact, epoch_metric: str) -> float | None:
    """Returns what the last epoch that gave a metric gave."""
    metrics = read_checked_json(trained.path / "metrics.json")
    for epoch in reversed(metrics["history"][: metrics.get("kept_round")]):
        if epoch_metric in epoch:
            value: float = epoch[epoch_metric]
            return value
    return None
