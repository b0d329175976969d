"""Scores of samples, the splits they make and signs of what they are worth; larger is more suspicious."""

from ray_defense.scores.feature_consistency import FeatureConsistency, feature_consistency, reduce_draws
from ray_defense.scores.signs import class_balance, effective_rank, feature_norm, score_signs, separation, starved_classes
from ray_defense.scores.split import Split, split_by_score

SCORES = {"fct": FeatureConsistency}

__all__ = [
    "SCORES",
    "FeatureConsistency",
    "Split",
    "class_balance",
    "effective_rank",
    "feature_consistency",
    "feature_norm",
    "reduce_draws",
    "score_signs",
    "separation",
    "split_by_score",
    "starved_classes",
]
