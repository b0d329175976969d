"""A finished run up to its split, for studies of what a stage costs.

Nothing in it was trained: neither probe and backdoored model nor what the split rests on. Its
images are random, or those of a dataset that is there.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.random_weights import random_weights_step
from ray_defense.data.evidence_table import EVIDENCE_FILE
from ray_defense.data.sources.memory import source_of
from ray_defense.data.split_table import SplitTable, write_split
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.data.table_file import write_table
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import Step, make_steps
from ray_defense.models.protocol import Model
from ray_defense.stages.backdoored import BACKDOORED
from ray_defense.stages.context import PlanContext
from ray_defense.stages.detect import EVIDENCE
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.stages.probe import PROBE
from ray_defense.store.artifacts import Store
from ray_defense.training.normalization import NORMALIZATIONS
from tests.support.steps import publish_step

NUM_CLASSES = 10
TRUSTED_FRACTION = 0.20  # the paper's alpha_c
FLAGGED_FRACTION = 0.05  # the paper's alpha_p


@dataclass(frozen=True)
class RandomRun:
    """The steps of a run that are finished, and its surroundings."""

    context: PlanContext
    num_samples: int
    size: int  # pixels, of a side
    suspect: Step
    probe: Step
    evidence: Step  # of the mirror filter alone
    split: Step
    backdoored: Step

    @property
    def num_trusted(self) -> int:
        """How many samples the split trusts."""
        return int(TRUSTED_FRACTION * self.num_samples)

    @property
    def num_flagged(self) -> int:
        """How many samples the split flags."""
        return int(FLAGGED_FRACTION * self.num_samples)


def make_random_run(
    folder: Path, executor: Executor, *, model: Model, num_samples: int, size: int
) -> RandomRun:
    """Returns a run whose dataset, probe, evidence, split and backdoored model are finished.

    Args:
        folder: Where its files go.
        executor: Ingests the images.
        model: The network of the probe and of the backdoored model.
        num_samples: Of the suspect dataset, at least 100.
        size: Pixels of a side.
    """
    context = PlanContext(Store(folder / "store"), 0, NORMALIZATIONS["cifar10"])
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (num_samples, size, size, 3), dtype=np.uint8)
    labels = np.arange(num_samples) % NUM_CLASSES
    source = source_of((images, labels), folder / "images")
    suspect = ingest_step(IngestConfig(), source, context)
    make_steps([suspect], context.store, executor)
    return random_run_of(suspect, model, context)


def random_run_of(suspect: Step, model: Model, context: PlanContext) -> RandomRun:
    """Returns the rest of such a run of a finished dataset with ten classes."""
    dataset = SuspectDataset(suspect.artifact.path)
    index = dataset.index
    scores = np.random.default_rng(0).normal(size=len(index))
    return RandomRun(
        context=context,
        num_samples=len(index),
        size=dataset.image_shape[0],
        suspect=suspect,
        probe=random_weights_step(PROBE, model, NUM_CLASSES, context),
        evidence=publish_step(context, EVIDENCE, partial(_write_evidence, index, scores)),
        split=publish_step(context, "split", partial(_write_split, index, scores)),
        backdoored=random_weights_step(BACKDOORED, model, NUM_CLASSES, context),
    )


def _write_evidence(index: np.ndarray, scores: np.ndarray, folder: Path) -> None:
    write_table(folder / EVIDENCE_FILE, pa.table({"index": index, "mirror": scores}))


def _write_split(index: np.ndarray, scores: np.ndarray, folder: Path) -> None:
    order = np.argsort(scores)
    part = np.full(len(index), "uncertain", dtype="<U9")
    part[order[: int(TRUSTED_FRACTION * len(index))]] = "trusted"
    part[order[len(index) - int(FLAGGED_FRACTION * len(index)) :]] = "flagged"
    write_split(folder, SplitTable(index, scores, part))
