"""What a run tells without truth and test set: the only numbers by which trials may be chosen."""

from collections.abc import Mapping
from typing import Any, Literal

import pyarrow.parquet as pq

from ray_defense.core.errors import Refused, look_up
from ray_defense.core.files import read_json
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.scores import score_signs, split_by_score
from ray_defense.stages.decide import Split
from ray_defense.store.artifacts import Artifact

Mode = Literal["max", "min"]  # what is better, more or less
SIGNS: dict[str, Mode] = {"poisoned_concentration": "max", "trusted_balance": "max", "separation": "max"}
METRICS: dict[str, dict[str, Mode]] = {  # stage -> what its epochs give
    "probe": {"train_accuracy": "max", "loss": "min", "intra_loss": "min"},
    "backdoored": {"loss": "min"},
    "d_br": {"relearn_loss": "min", "trusted_accuracy": "max", "poisoned_accuracy": "min"},
    "d_st": {"contrastive_loss": "min", "mce_loss": "min", "trusted_accuracy": "max"},
}
NUMBERS: dict[str, Mode] = SIGNS | {
    f"{stage}_{name}": mode for stage, metrics in METRICS.items() for name, mode in metrics.items()
}
_SEEING = ("auroc", "precision", "acc", "asr", "weak_attack")  # ends of the names of what needs truth or test set


def numbers(split: Split, stages: Mapping[str, Artifact]) -> dict[str, float | None]:
    """Returns the `NUMBERS` of finished `stages`; None where there is none.

    Signs are those of `scores.score_signs`; a stage's metric is that of the last epoch that gave it, for D-BR of the round
    that was kept.
    """
    shards, scores = ShardSet(stages["suspect"].path), pq.read_table(stages["score"].path / "scores.parquet")["score"]
    num_classes = read_json(stages["suspect"].path / "dataset.json")["num_classes"]
    score_M = scores.to_numpy()
    parts = split_by_score(score_M, split.clean_fraction, split.poison_fraction)
    signs = score_signs(score_M, shards.labels, parts, num_classes)
    found = {name: signs[name] for name in SIGNS}
    for stage, metrics in METRICS.items():
        history = _history(stages[stage]) if stage in stages else []
        for name in metrics:
            found[f"{stage}_{name}"] = next((epoch[name] for epoch in reversed(history) if name in epoch), None)
    return found


def _history(stage: Artifact) -> list[dict[str, Any]]:
    metrics = read_json(stage.path / "metrics.json")
    return metrics["history"][: metrics.get("kept_round")]


def check_unseeing(metric: str, offered: str) -> None:
    """Raises Refused for a number whose name says that it needs the truth or the test set; `offered` is what may be asked."""
    if metric.endswith(_SEEING) and metric not in NUMBERS:
        raise Refused(
            f"{metric} needs the truth or the test set, which no choice may look at: choose by one that does not, {offered}"
        )


def better(metric: str) -> Mode:
    """Returns whether more or less of one of the `NUMBERS` is better; raises Refused for any other."""
    check_unseeing(metric, f"one of {', '.join(NUMBERS)}")
    return look_up(NUMBERS, "metric", metric)
