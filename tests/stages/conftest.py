"""Fixtures of the tests of stages."""

from dataclasses import dataclass

import pytest

from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.steps import Step
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import save_weights
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import IngestConfig, ingest_step
from tests.support.noise import NUM_CLASSES, write_noise
from tests.support.steps import make_step, plan_context, publish_step


@dataclass(frozen=True)
class ProbedNoise:
    """A dataset of 129 images of noise in shards of 60, and a probe of random weights."""

    context: PlanContext
    suspect: Step
    probe: Step
    model: SmallResNet

    @property
    def dataset(self) -> SuspectDataset:
        return SuspectDataset(self.suspect.artifact.path)


@pytest.fixture(scope="module")
def probed_noise(tmp_path_factory) -> ProbedNoise:
    root = tmp_path_factory.mktemp("probed")
    context = plan_context(root / "store")
    source = write_noise(root / "train.parquet", {7: b""}, count=130)
    suspect = ingest_step(IngestConfig(60), source, context)
    make_step(suspect, context)
    model = SmallResNet(width=8)

    def fill(directory):
        save_weights(directory / WEIGHTS, build_model(model, NUM_CLASSES, 1))

    probe = publish_step(context, "probe", fill, {"suspect": suspect.artifact})
    return ProbedNoise(context, suspect, probe, model)
