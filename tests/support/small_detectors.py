"""Detectors small enough for tests, and the evidence of pictures by them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.core.files import read_json
from ray_defense.data.evidence_table import read_evidence
from ray_defense.detectors import DETECTORS
from ray_defense.detectors.grow import GrowTraining
from ray_defense.detectors.handed_pattern import HandedSearch
from ray_defense.detectors.label_networks import LabelTraining
from ray_defense.detectors.pattern_detector import PatternSearch
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.detectors.protocol import Columns, Detector
from ray_defense.detectors.symmetry import SymmetryTraining
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import Step, make_steps
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.small_resnet_coordinates import SmallResNetCoordinates
from ray_defense.stages.backdoored import backdoored_step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.defend import BackdooredModel
from ray_defense.stages.detect import DetectConfig, PlannedDetection, plan_detection
from ray_defense.stages.detector_models import RecipeModels
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.training.settings import Sgd, SupervisedConfig
from ray_defense.transforms.crop import Crop
from tests.support import blobs
from tests.support.steps import local_executor, plan_context

ALONE = WorkerGroup(cpus_per_worker=1)
SYMMETRY = SymmetryTraining(SmallResNetCoordinates(width=8), steps=4, batch_size=32)
GROWING = GrowTraining(SmallResNetCoordinates(width=8), folds=2, steps=8, seeds_a_step=8)
PATTERNS = PatternSearch(exemplars=4, min_agreement=0.0, fewest=4)
HANDED = HandedSearch(exemplars=4, min_agreement=0.0, fewest=4, min_enrichment=1.0)
LABELS = LabelTraining(SmallResNet(width=8), epochs=1, batch_size=32)
SETTINGS: dict[str, dict[str, Any]] = {
    "fct": {},
    "fct_draws": {"draws": 3},
    "fct_backdoored": {"draws": 2},
    "fixed_pattern": {"search": PATTERNS},
    "handed_pattern": {"search": HANDED},
    "mirror": {"training": SYMMETRY},
    "shifted_windows": {"training": SYMMETRY},
    "grow": {"training": GROWING, "num_highest": 20},
    "trigger_gap": {"training": LABELS},
    "spectral_signatures": {},
    "activation_clustering": {},
    "symmetric_ce": {"training": replace(LABELS, folds=1)},
    "local_ascent": {"training": replace(LABELS, folds=1)},
    "bn_density": {},
    "unlearning_margin": {"num_unlearned": 20, "max_epochs": 2, "batch_size": 10},
}
PROBE = ProbeConfig(SmallResNet(width=8), epochs=2, intra_epochs=1, batch_size=32, workers=ALONE)
CLASSIFIER = SupervisedConfig(
    SmallResNet(width=8),
    epochs=2,
    milestones=(1,),
    batch_size=32,
    sgd=Sgd(0.05),
    augmentation=Crop(),
    workers=ALONE,
)


def small_detector(name: str) -> Detector:
    """Returns a registered detector with little training."""
    detector: Detector = DETECTORS[name](**SETTINGS[name])
    return detector


def with_followed(name: str) -> tuple[Detector, ...]:
    """Returns a small detector behind the one that it follows, where it follows one."""
    detector = small_detector(name)
    follows = getattr(detector, "follows", None)
    if follows is None:
        return (detector,)
    return (small_detector(follows), detector)


@dataclass(frozen=True)
class Pictures:
    """An ingested dataset of pictures, whose evidence is made in this process."""

    context: PlanContext
    suspect: Step
    probe: ProbeConfig = PROBE
    classifier: SupervisedConfig = CLASSIFIER

    def plan(self, config: DetectConfig) -> PlannedDetection:
        backdoored = backdoored_step(self.classifier, self.suspect, self.context)
        shared = RecipeModels(self.probe, BackdooredModel(backdoored, self.classifier))
        return plan_detection(config, self.suspect, shared, self.context)

    def evidence(self, config: DetectConfig, executor: Executor | None = None) -> Step:
        """Returns the step of the evidence, which is made where it is missing."""
        evidence = self.plan(config).evidence
        make_steps([evidence], self.context.store, executor or local_executor())
        return evidence

    def columns(self, detectors: tuple[Detector, ...], batch_size: int = 20) -> Columns:
        config = DetectConfig(detectors, batch_size=batch_size, block_size=2 * batch_size)
        return read_evidence(self.evidence(config).artifact.path)

    def metrics(
        self, detectors: tuple[Detector, ...], batch_size: int = 20
    ) -> dict[str, dict[str, float]]:
        config = DetectConfig(detectors, batch_size=batch_size, block_size=2 * batch_size)
        metrics: dict[str, dict[str, float]] = read_json(
            self.evidence(config).artifact.path / "metrics.json"
        )
        return metrics

    def in_store(self, root: Path) -> "Pictures":
        """Returns the same dataset, whose evidence is made in another store."""
        from ray_defense.store.artifacts import Store

        return replace(self, context=replace(self.context, store=Store(root)))


def ingest_pictures(
    root: Path, images: np.ndarray, labels: np.ndarray, shard_size: int = 60
) -> Pictures:
    """Returns pictures as a dataset in a store below a folder."""
    root.mkdir(parents=True, exist_ok=True)
    source = blobs.write_pictures(root / "train.parquet", images, labels)
    context = plan_context(root / "store")
    suspect = ingest_step(IngestConfig(shard_size), source, context)
    make_steps([suspect], context.store, local_executor())
    return Pictures(context, suspect)
