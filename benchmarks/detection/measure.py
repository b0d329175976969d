"""One dataset through detectors and decision, compared with the sealed truth afterwards."""

from typing import Any

import numpy as np

from ray_defense.data.evidence_table import read_evidence
from ray_defense.execution.protocols import Executor
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.run import detection_of, run_plan
from ray_defense.scores.coherence import area_under_roc
from ray_defense.store.artifacts import Store
from ray_defense.store.truth import Truth, unseal

FPR = 0.001  # at which the true positive rate of a column is read
CURVE_FPRS = tuple(float(f"{10**exponent:.3g}") for exponent in np.arange(-4, 0.1, 0.25))


def measure_detection(recipe: Recipe, store: Store, executor: Executor) -> dict[str, Any]:
    """Returns what was found, column by column and by the decision, and the seconds of each step.

    Args:
        recipe: Names the data, the attack, the detectors and the decision.
        store: Where the artifacts are kept.
        executor: Who does the work.
    """
    plan = run_plan(plan_recipe(recipe, store), executor, until="split")
    detection = detection_of(plan)
    truth = None
    if recipe.attack is not None:
        truth = unseal(store, plan.dataset.step.artifact.key)
    flagged_N = detection.columns["split"] == "flagged"
    seconds = {}
    for stage, step in plan.steps("split").items():
        seconds[stage] = round(step.artifact.seconds, 1)
    return {
        "num_samples": len(flagged_N),
        "columns": measure_columns(read_evidence(plan.evidence.artifact.path), truth),
        "decision": {
            "verdict": detection.verdict,
            "labels_suspected": list(detection.labels_suspected),
            "reasons": list(detection.details.get("reasons", ())),
            "reports": detection.details.get("columns"),
            **count_finds(flagged_N, truth),
        },
        "seconds": seconds,
    }


def measure_columns(
    columns: dict[str, np.ndarray], truth: Truth | None
) -> dict[str, dict[str, Any]]:
    """Returns AUROC, and true positive rates at `FPR` and `CURVE_FPRS`, of each column."""
    measured: dict[str, dict[str, Any]] = {}
    if truth is None or not truth.poisoned.any():
        return measured
    clean = ~(truth.poisoned | truth.cover)
    for name, scores_N in columns.items():
        poisoned_scores = scores_N[truth.poisoned]
        clean_scores = scores_N[clean]
        measured[name] = {
            "auroc": area_under_roc(poisoned_scores, clean_scores),
            "tpr": true_positive_rate(poisoned_scores, clean_scores, FPR),
            "curve": [
                round(true_positive_rate(poisoned_scores, clean_scores, fpr), 5)
                for fpr in CURVE_FPRS
            ],
        }
    return measured


def true_positive_rate(positive: np.ndarray, negative: np.ndarray, fpr: float) -> float:
    """Returns the share of positives above all but a share `fpr` of the negatives."""
    num_allowed = int(fpr * len(negative))
    if num_allowed == len(negative):
        return 1.0
    threshold = np.sort(negative)[::-1][num_allowed]
    return float((positive > threshold).mean())


def count_finds(flagged_N: np.ndarray, truth: Truth | None) -> dict[str, int | None]:
    """Returns how many samples of each kind are flagged; without a truth, how many at all."""
    counts: dict[str, int | None] = {
        "num_flagged": int(flagged_N.sum()),
        "num_poisoned": None,
        "num_found": None,
        "num_cover": None,
        "num_cover_found": None,
        "num_false": None,
    }
    if truth is None:
        counts["num_false"] = counts["num_flagged"]  # nothing is poisoned
        return counts
    counts["num_poisoned"] = int(truth.poisoned.sum())
    counts["num_found"] = int(flagged_N[truth.poisoned].sum())
    counts["num_cover"] = int(truth.cover.sum())
    counts["num_cover_found"] = int(flagged_N[truth.cover].sum())
    counts["num_false"] = int(flagged_N[~(truth.poisoned | truth.cover)].sum())
    return counts
