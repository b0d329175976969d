"""Every stage runs on a GPU as far as devices go, and a step of it never waits for the GPU.

The GPU is a fake one, which has devices and shapes and no numbers.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.bounds.cells import CELLS, Sizes
from benchmarks.bounds.random_run import NUM_CLASSES, RandomRun, make_random_run
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import TrainingSet
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.fct_draws import FctDraws
from ray_defense.detectors.protocol import Detector
from ray_defense.detectors.required_models import Probe, RequiredModel
from ray_defense.detectors.sample_batch import OpenedModel, SampleBatch
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.steps import training_job
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.training.loop import autocast, to_device
from ray_defense.training.normalization import NORMALIZATIONS
from ray_defense.training.views import to_float
from tests.support.fake_gpu import GPU, FakeGpuWorker, fake_gpu
from tests.support.steps import CPU

MODEL = SmallResNet(width=8)
STAGES = [name for name in CELLS if not name.startswith("score")]


def random_run(folder: Path, num_samples: int) -> RandomRun:
    return make_random_run(
        folder, LocalExecutor("numpy", CPU), model=MODEL, num_samples=num_samples, size=8
    )


def waits_of(name: str, run: RandomRun, num_steps: int) -> list[str]:
    """Returns what the host waits for while a stage is trained on the fake GPU."""
    cell = CELLS[name](run, Sizes(MODEL, threads=1, epochs=1, steps=num_steps))
    job = training_job(cell.step)
    job.artifact.scratch.mkdir(parents=True, exist_ok=True)
    with fake_gpu() as gpu:
        job.program(FakeGpuWorker(job.artifact), job.artifact, job.inputs)
    return gpu.waits


def waits_of_reading(detector: Detector) -> list[str]:
    """Returns what the host waits for while a detector reads a batch on the fake GPU."""
    images = np.zeros((4, 8, 8, 3), np.uint8)
    index = torch.arange(4)
    labels = index % NUM_CLASSES
    networks = [build_model(MODEL, NUM_CLASSES, 0), build_model(MODEL, NUM_CLASSES, 1)]
    with fake_gpu() as gpu:
        opened: dict[RequiredModel, OpenedModel] = {}
        for required in (Probe(), Probe(intra=False)):
            on_gpu = [to_device(network, GPU).eval() for network in networks]
            opened[required] = OpenedModel(on_gpu, fold_key=3)
        batch = ImageBatch(torch.from_numpy(images).to(GPU), labels.to(GPU), index)
        seen = SampleBatch(
            images_BCHW=to_float(batch.images),
            labels_B=batch.labels,
            index_B=np.arange(4),
            seed=0,
            normalization=NORMALIZATIONS["half"],
            models=opened,
        )
        detector.read(seen)
    return gpu.waits


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> RandomRun:
    return random_run(tmp_path_factory.mktemp("small"), 600)


@pytest.mark.parametrize("name", ["d_br", "mce", "grow"])
def test_no_stage_mixes_devices(name: str, small_run: RandomRun) -> None:
    waits_of(name, small_run, num_steps=2)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted({*STAGES} - {"d_br", "mce", "grow"}))
def test_no_other_stage_mixes_devices(name: str, small_run: RandomRun) -> None:
    waits_of(name, small_run, num_steps=2)


@pytest.mark.parametrize("name", ["probe_intra", "mce"])
def test_more_steps_of_an_epoch_wait_for_the_gpu_no_more_often(
    name: str, small_run: RandomRun, tmp_path: Path
) -> None:
    large_run = random_run(tmp_path, 1000)
    few = waits_of(name, small_run, num_steps=0)
    many = waits_of(name, large_run, num_steps=0)
    assert sorted(few) == sorted(many)


def test_more_steps_of_a_detectors_network_wait_for_the_gpu_no_more_often(
    small_run: RandomRun,
) -> None:
    few = waits_of("mirror", small_run, num_steps=2)
    many = waits_of("mirror", small_run, num_steps=4)
    assert sorted(few) == sorted(many)


def test_a_set_that_is_streamed_waits_for_the_gpu_in_no_step(small_run: RandomRun) -> None:
    with fake_gpu() as gpu:
        data = TrainingSet(small_run.suspect.artifact.path, GPU, "numpy", resident_bytes=0)
        num_before = len(gpu.waits)
        batches = list(data.epoch(0, 128))
        assert [len(batch.labels) for batch in batches] == [128] * 4 + [88]
        assert {batch.images.device for batch in batches} == {GPU}
        assert gpu.waits[num_before:] == []


def test_more_draws_of_a_batch_wait_for_the_gpu_no_more_often() -> None:
    assert waits_of_reading(Fct(draws=5)) == waits_of_reading(Fct(draws=2))


def test_no_draw_waits_for_the_numbers_of_the_draw_before() -> None:
    waits = waits_of_reading(FctDraws(draws=3, num_earlier_blocks=1))
    first_fetch = waits.index("a copy from cuda")
    assert "a copy from cpu" not in waits[first_fetch:]


def test_training_computes_in_bfloat16_on_a_gpu_and_the_weights_stay_float32() -> None:
    network = build_model(MODEL, NUM_CLASSES, 0)
    with fake_gpu():
        to_device(network, GPU)
        with autocast(GPU):
            features_BD, logits_BN = network(torch.zeros(2, 3, 8, 8, device=GPU))
        assert features_BD.device == logits_BN.device == GPU
        assert logits_BN.dtype == torch.bfloat16
        assert network.classifier.weight.dtype == torch.float32


def test_the_fake_gpu_refuses_to_mix_devices() -> None:
    with fake_gpu(), pytest.raises(Exception, match="same device"):
        torch.zeros(2, device=GPU) + torch.ones(2)


def test_the_fake_gpu_notes_a_copy_that_blocks_and_a_number_that_is_read() -> None:
    with fake_gpu() as gpu:
        on_gpu = torch.zeros(3).to(GPU, non_blocking=True)
        assert gpu.waits == []
        torch.zeros(3).to(GPU)
        on_gpu.sum().item()
        on_gpu.cpu()
        assert gpu.waits == ["a copy from cpu", "a number", "a copy from cuda"]
