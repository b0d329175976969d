"""Decisions: which samples are trusted and which are flagged, from the evidence of detectors."""

from typing import Any

from ray_defense.core.registry import Registry

DECISIONS: Registry[type[Any]] = Registry(
    "ray_defense.detectors.decision",
    {"fractions": "fractions.Fractions", "evidence": "evidence.Evidence"},
)
