"""Detectors: how samples get a score, and how scores become a decision."""

from ray_defense.core.registry import Registry
from ray_defense.detectors.protocol import Detector

DETECTORS: Registry[type[Detector]] = Registry("ray_defense.detectors", {"fct": "fct.Fct"})
