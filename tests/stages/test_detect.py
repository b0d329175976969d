"""The evidence of a dataset of noise: its scores, whatever the blocks, and how it is resumed."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.random import stream, uniform
from ray_defense.detectors.fct import Fct
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import BlockJob
from ray_defense.execution.steps import Step, make_steps
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import save_weights
from ray_defense.stages.context import PlanContext
from ray_defense.stages.detect import DetectConfig, detect_step
from ray_defense.store.artifacts import Store
from ray_defense.transforms.affine import Affine
from ray_defense.transforms.erase import Erase
from ray_defense.transforms.flip import Flip
from ray_defense.transforms.rotate import Rotate
from tests.stages.conftest import ProbedNoise
from tests.support.noise import NUM_CLASSES, read_all
from tests.support.steps import CPU, make_step, publish_step


def plan_evidence(
    noise: ProbedNoise, config: DetectConfig, context: PlanContext | None = None
) -> Step:
    return detect_step(
        config, noise.suspect, noise.probe, model=noise.model, context=context or noise.context
    )


def read_evidence(noise: ProbedNoise, config: DetectConfig) -> pa.Table:
    """Returns the evidence of the noise, made where it is missing."""
    evidence = make_step(plan_evidence(noise, config), noise.context)
    return pq.read_table(evidence.path / "evidence.parquet")


def test_scores_have_the_same_bits_whatever_the_blocks(probed_noise):
    tables = []
    for block_size in (10, 20, 1000):
        config = DetectConfig(batch_size=10, block_size=block_size)
        tables.append(read_evidence(probed_noise, config))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert tables[0].column_names == ["index", "fct"]
    assert tables[0]["index"].to_pylist() == probed_noise.dataset.index.tolist()


def distance_of_one_image(
    model: torch.nn.Module, image: np.ndarray, index: np.ndarray, draw: int
) -> float:
    """Returns how far the features of one image move under a draw of rotation and affine map."""
    clean = torch.from_numpy(image[None]).permute(0, 3, 1, 2).float() / 255
    transformed = clean
    key = stream(0, "score", "draw", draw)
    for position, transform in enumerate((Rotate(), Affine())):
        of_transform = stream(key, position, transform.name)
        draws = torch.from_numpy(uniform(of_transform, index, transform.num_draws)).float()
        transformed = transform.apply(transformed, draws)
    with torch.no_grad():
        clean_features, _ = model((clean.double() - 0.5) / 0.5)
        transformed_features, _ = model((transformed.double() - 0.5) / 0.5)
    differences = zip(clean_features[0].tolist(), transformed_features[0].tolist(), strict=True)
    return sum((a - b) ** 2 for a, b in differences)


@pytest.mark.parametrize(("draws", "reduce"), [(1, "mean"), (3, "mean"), (3, 0.0)])
def test_a_score_is_the_squared_distance_of_the_features_of_one_image_alone(
    probed_noise, draws, reduce
):
    detector = Fct(draws=draws, reduce=reduce)
    config = DetectConfig(detectors=(detector,), batch_size=10, block_size=20)
    table = read_evidence(probed_noise, config)
    model = build_model(probed_noise.model, NUM_CLASSES, 1).double().eval()
    dataset, images = read_all(probed_noise.suspect.artifact)
    for row in (0, 6, 7, 77, 128):
        index = dataset.index[row : row + 1]
        distances = []
        for draw in range(draws):
            distances.append(distance_of_one_image(model, images[row], index, draw))
        expected = min(distances) if reduce == 0.0 else sum(distances) / draws
        assert table["fct"][row].as_py() == pytest.approx(expected, rel=1e-5)


class KilledOnce(LocalExecutor):
    """Counts the missing blocks of each call, and is killed after four blocks of the first."""

    def __init__(self):
        super().__init__("numpy", CPU)
        self.num_missing = []

    def run_blocks(self, job: BlockJob) -> None:
        self.num_missing.append(len(job.missing_blocks()))
        if len(self.num_missing) == 1:
            super().run_blocks(replace(job, blocks=job.blocks[:4]))
            raise KeyboardInterrupt
        super().run_blocks(job)


def test_row_fault_02_scoring_resumes_at_the_missing_blocks(probed_noise, tmp_path):
    config = DetectConfig(batch_size=10, block_size=10)
    context = replace(probed_noise.context, store=Store(tmp_path))
    step = plan_evidence(probed_noise, config, context)
    executor = KilledOnce()
    with pytest.raises(KeyboardInterrupt):
        make_step(step, context, executor)
    resumed = make_step(step, context, executor)
    assert executor.num_missing == [13, 9]
    table = pq.read_table(resumed.path / "evidence.parquet")
    assert table.equals(read_evidence(probed_noise, config))


def test_row_fault_05_scores_that_are_not_finite_fail(probed_noise, tmp_path):
    context = replace(probed_noise.context, store=Store(tmp_path))
    model = build_model(SmallResNet(width=8), NUM_CLASSES, 1)
    next(model.parameters()).data.fill_(3e38)  # features overflow

    def fill(directory):
        save_weights(directory / WEIGHTS, model)

    diverged = publish_step(context, "probe", fill)
    step = plan_evidence(replace(probed_noise, probe=diverged), DetectConfig(), context)
    with pytest.raises(RunError, match="129 scores are not finite: the probe diverged"):
        make_step(step, context)
    assert not step.artifact.exists


class CountingPasses(LocalExecutor):
    """Counts the passes over the data."""

    def __init__(self):
        super().__init__("numpy", CPU)
        self.num_passes = 0

    def run_blocks(self, job: BlockJob) -> None:
        self.num_passes += 1
        super().run_blocks(job)


def test_detectors_that_share_a_pass_give_the_bytes_of_one_pass_each(probed_noise, tmp_path):
    configs = []
    for tau in ((Rotate(), Affine()), (Flip(), Erase())):
        for draws in (1, 2):
            detector = Fct(tau=tau, draws=draws)
            configs.append(DetectConfig((detector,), batch_size=10, block_size=20))
    together = replace(probed_noise.context, store=Store(tmp_path / "together"))
    alone = replace(probed_noise.context, store=Store(tmp_path / "alone"))
    shared_steps = [plan_evidence(probed_noise, config, together) for config in configs]
    executor = CountingPasses()
    make_steps(shared_steps, together.store, executor)
    assert executor.num_passes == 1
    hashes = []
    for config, shared in zip(configs, shared_steps, strict=True):
        own = make_step(plan_evidence(probed_noise, config, alone), alone)
        assert shared.artifact.hashes == own.hashes
        hashes.append(str(own.hashes))
    assert len(set(hashes)) == 4


def test_evidence_that_cuts_the_data_otherwise_is_made_in_a_pass_of_its_own(probed_noise, tmp_path):
    context = replace(probed_noise.context, store=Store(tmp_path))
    steps = []
    for block_size in (10, 20):
        config = DetectConfig(batch_size=10, block_size=block_size)
        steps.append(plan_evidence(probed_noise, config, context))
    executor = CountingPasses()
    make_steps(steps, context.store, executor)
    assert executor.num_passes == 2
    assert steps[0].artifact.hashes == steps[1].artifact.hashes


def test_a_configuration_without_detectors_or_whole_batches_is_refused():
    with pytest.raises(InputError, match=r"detect.detectors is empty: name one of fct"):
        DetectConfig(detectors=())
    with pytest.raises(InputError, match=r"detect.block_size 25 must be a multiple"):
        DetectConfig(batch_size=10, block_size=25)


def test_evidence_that_stands_is_not_made_again(probed_noise):
    config = DetectConfig(batch_size=10, block_size=10)
    step = plan_evidence(probed_noise, config)
    make_step(step, probed_noise.context)
    executor = CountingPasses()
    make_step(step, probed_noise.context, executor)
    assert executor.num_passes == 0
