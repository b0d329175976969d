"""Scores of samples and the splits they make; larger is more suspicious."""

from ray_defense.scores.feature_consistency import FeatureConsistency, feature_consistency, reduce_draws
from ray_defense.scores.split import Split, split_by_score

SCORES = {"fct": FeatureConsistency}

__all__ = ["SCORES", "FeatureConsistency", "Split", "feature_consistency", "reduce_draws", "split_by_score"]
