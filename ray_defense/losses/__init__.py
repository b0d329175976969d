"""Losses as plain functions: SS-CTL (Eq. 2, 9), L_intra (Eq. 8), MCE, unlearning and relearning (Eq. 3-5), and SSIM."""

from ray_defense.losses.class_centers import class_center_similarity
from ray_defense.losses.contrastive import semi_supervised_contrastive
from ray_defense.losses.cross_entropy import mixed_cross_entropy, relearning, unlearning
from ray_defense.losses.similarity import structural_similarity

__all__ = [
    "class_center_similarity",
    "mixed_cross_entropy",
    "relearning",
    "semi_supervised_contrastive",
    "structural_similarity",
    "unlearning",
]
