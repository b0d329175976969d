"""Detectors: how samples get a score, and how scores become a decision."""

from ray_defense.core.registry import Registry
from ray_defense.detectors.protocol import Detector

DETECTORS: Registry[type[Detector]] = Registry(
    "ray_defense.detectors",
    {
        "fct": "fct.Fct",
        "fct_draws": "fct_draws.FctDraws",
        "fct_backdoored": "fct_draws.FctBackdoored",
        "mirror": "mirror.Mirror",
        "fixed_pattern": "fixed_pattern.FixedPattern",
        "handed_pattern": "handed_pattern.HandedPattern",
        "shifted_windows": "shifted_windows.ShiftedWindows",
        "grow": "grow.Grow",
        "trigger_gap": "trigger_gap.TriggerGap",
        "spectral_signatures": "spectral_signatures.SpectralSignatures",
        "activation_clustering": "activation_clustering.ActivationClustering",
        "symmetric_ce": "symmetric_ce.SymmetricCrossEntropy",
        "local_ascent": "local_ascent.LocalAscent",
        "bn_density": "bn_density.BatchNormDensity",
        "unlearning_margin": "unlearning_margin.UnlearningMargin",
    },
)
