"""The epoch loop resumes to the bit and keeps nothing broken; schedules, means and views are their formulas."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ray_defense.core import progress
from ray_defense.core.errors import Failed, Refused
from ray_defense.core.random import stream, uniform
from ray_defense.data.suspect_dataset import ImageBatch
from ray_defense.execution.local import LocalExecutor, LocalWorker
from ray_defense.execution.protocols import TrainJob
from ray_defense.losses import relearning
from ray_defense.store.artifacts import Store
from ray_defense.training.loop import Mean, run_epochs
from ray_defense.training.schedules import set_rate, step_decay, warmup_cosine
from ray_defense.training.settings import Sgd, Workers
from ray_defense.training.supervised import measure_accuracy, train_epoch
from ray_defense.training.views import NORMALIZATIONS, Normalization, to_float, view
from ray_defense.transforms import Affine, CropFlip, Rotate

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Settings:
    workers: Workers = Workers(cpus_per_worker=1)


def make_worker(root: Path, program=None) -> LocalWorker:
    artifact = Store(root).place("probe", 1, {}, {})
    artifact.scratch.mkdir(parents=True, exist_ok=True)
    return LocalWorker(TrainJob(program, Settings(), 0, artifact, {}, num_epochs=6), CPU, "numpy")


class Net(torch.nn.Module):
    """A network with BatchNorm buffers, whose forward gives features and logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU())
        self.classifier = torch.nn.Linear(8, 3)

    def forward(self, x_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features_BD = self.body(x_BCHW)
        return features_BD, self.classifier(features_BD)


def make_net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net()


def make_batches(count: int = 4, size: int = 5) -> list[ImageBatch]:
    index = np.arange(count * size).reshape(count, size)
    pixels = [(255 * uniform(1, rows, 12)).astype(np.uint8).reshape(size, 2, 2, 3) for rows in index]
    return [
        ImageBatch(torch.from_numpy(p), torch.from_numpy(r % 3), torch.from_numpy(r))
        for p, r in zip(pixels, index, strict=True)
    ]


HALF = partial(view, key=0, changes=(), normalization=NORMALIZATIONS["half"])


def train_net(root: Path, stop_in: int | None = None, nan_in: int | None = None, ran: list | None = None) -> Net:
    """Trains fresh objects for six epochs, or up to the middle of epoch `stop_in` (from 0)."""
    net, worker = make_net(), make_worker(root)
    optimizer = Sgd(0.1).build(net.parameters())

    def epoch(number: int) -> dict[str, float]:
        set_rate(optimizer, step_decay(0.1, number, (3,)))
        batches = make_batches()
        metrics = train_epoch(worker, net, optimizer, batches[:2], HALF, relearning)
        if number == stop_in:
            raise KeyboardInterrupt
        train_epoch(worker, net, optimizer, batches[2:], HALF, relearning)
        if ran is not None:
            ran.append(number)
        return metrics | ({"loss": math.nan} if number == nan_in else {})

    history = run_epochs(worker, {"model": net, "optimizer": optimizer}, [partial(epoch, n) for n in range(6)])
    assert len(history) == 6
    return net


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("stop_in", [0, 1, 3, 5])
def test_a_run_killed_in_the_middle_of_an_epoch_resumes_to_the_same_bits(tmp_path, stop_in):
    whole, ran = train_net(tmp_path / "whole"), []
    with pytest.raises(KeyboardInterrupt):
        train_net(tmp_path / "killed", stop_in)
    assert same(train_net(tmp_path / "killed", ran=ran), whole)
    assert ran == list(range(stop_in, 6))
    assert not same(whole, make_net())


def test_a_finished_run_is_not_trained_further(tmp_path):
    whole, ran = train_net(tmp_path), []
    assert same(train_net(tmp_path, ran=ran), whole) and ran == []


def test_a_metric_that_is_no_number_fails_and_leaves_the_checkpoint_before_it(tmp_path):
    with pytest.raises(Failed, match=r"epoch 3 of 6 gave \{'loss': nan\}: lower the learning rate"):
        train_net(tmp_path, nan_in=2)
    assert len(make_worker(tmp_path).load()["history"]) == 2
    assert same(train_net(tmp_path), train_net(tmp_path / "whole"))


def test_an_infinite_loss_is_a_broken_metric(tmp_path):
    with pytest.raises(Failed, match="inf"):
        run_epochs(make_worker(tmp_path), {}, [lambda: {"loss": math.inf, "accuracy": 1.0}])
    assert make_worker(tmp_path).load() is None


def test_progress_is_told_after_every_epoch(tmp_path):
    heard = []
    progress.listen(lambda *said: heard.append(said))
    try:
        train_net(tmp_path)
    finally:
        progress.listen(None)
    assert heard == [("probe", done, 6) for done in range(1, 7)]


def test_the_local_executor_publishes_once_and_has_one_worker(tmp_path):
    ran = []

    def program(worker: LocalWorker, job: TrainJob) -> None:
        ran.append(torch.get_num_threads())
        (job.artifact.work / "a.txt").write_text("made")

    worker, before = make_worker(tmp_path, program), torch.get_num_threads()
    executor = LocalExecutor("numpy", CPU)
    executor.train([worker.job, worker.job])
    assert ran == [1] and torch.get_num_threads() == before
    assert list(worker.job.artifact.hashes) == ["a.txt"] and not (worker.job.artifact.path / "scratch").exists()
    two = TrainJob(program, Settings(Workers(num_workers=2)), 0, worker.job.artifact, {})
    with pytest.raises(Refused, match="probe.workers.num_workers is 2"):
        executor.train([two])


def test_an_epoch_is_one_sgd_step_a_batch(tmp_path):
    """Parity: momentum SGD with weight decay, by hand, in float64."""
    net, plain = make_net().double(), make_net().double()
    optimizer = Sgd(0.1, momentum=0.9, weight_decay=0.01).build(net.parameters())
    double = lambda images, index: HALF(images, index).double()  # noqa: E731
    metrics = train_epoch(make_worker(tmp_path), net, optimizer, make_batches(), double, cross_entropy)
    velocity = [torch.zeros_like(p) for p in plain.parameters()]
    losses, right = [], []
    for batch in make_batches():
        _, logits_BN = plain((batch.images.permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.5)).double())
        loss = -torch.stack([row.log_softmax(0)[label] for row, label in zip(logits_BN, batch.labels, strict=True)]).mean()
        gradients = torch.autograd.grad(loss, list(plain.parameters()))
        for parameter, v, gradient in zip(plain.parameters(), velocity, gradients, strict=True):
            v.mul_(0.9).add_(gradient + 0.01 * parameter.detach())
            parameter.data.sub_(0.1 * v)
        losses.append(loss.item())
        right += (logits_BN.argmax(1) == batch.labels).tolist()
    for a, b in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-7)
    assert metrics == pytest.approx({"loss": np.mean(losses), "accuracy": np.mean(right)}, abs=1e-6)


def test_accuracy_is_measured_in_eval_mode_and_changes_nothing(tmp_path):
    net, worker = make_net(), make_worker(tmp_path)
    batches = make_batches()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = measure_accuracy(worker, net, batches, HALF)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    right = [net(HALF(batch.images, batch.index.numpy()))[1].argmax(1) == batch.labels for batch in batches]
    assert not net.training and found == pytest.approx(torch.cat(right).float().mean().item())


def test_a_mean_is_over_samples_not_batches_and_zero_without_any(tmp_path):
    mean = Mean(make_worker(tmp_path))
    assert mean.value() == 0.0
    for total, count in ((3.0, 3), (10.0, 1)):
        mean.add(torch.tensor(total), count)
    assert mean.value() == 13 / 4


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.01), (99, 0.01), (100, 1e-3), (149, 1e-3), (150, 1e-4), (199, 1e-4)])
def test_the_rate_falls_to_a_tenth_at_each_milestone(epoch, rate):
    assert step_decay(0.01, epoch, (100, 150)) == pytest.approx(rate)


def test_the_rate_is_constant_without_milestones():
    assert step_decay(0.3, 7, ()) == 0.3


@pytest.mark.parametrize("position", [10, 10.5, 57.25, 100, 199.99, 200])
def test_after_the_warm_up_the_rate_is_the_cosine(position):
    formula = 5e-4 + (0.5 - 5e-4) * (1 + math.cos(math.pi * position / 200)) / 2
    assert warmup_cosine(0.5, position, 200, 10, 0.01, 1e-3) == pytest.approx(formula, rel=1e-12)


def test_the_warm_up_is_a_line_from_its_rate_to_the_cosine():
    def rate(position: float) -> float:
        return warmup_cosine(0.5, position, 200, 10, 0.01, 1e-3)

    assert rate(0) == 0.01
    assert rate(5) == pytest.approx((rate(0) + rate(10)) / 2, rel=1e-12)
    assert rate(10 - 1e-9) == pytest.approx(rate(10), rel=1e-6)
    assert rate(200) == pytest.approx(0.5 * 1e-3)
    assert warmup_cosine(0.5, 0, 200, 0, 0.01, 1e-3) == 0.5


def test_a_rate_is_set_in_every_group_and_a_negative_or_undefined_one_is_refused():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    set_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
    for rate in (-1e-9, math.nan):
        with pytest.raises(Refused, match="must not be negative"):
            set_rate(optimizer, rate)


@pytest.mark.parametrize("make", [lambda: Sgd(-1.0), lambda: Sgd(math.nan), lambda: Workers(num_workers=0)])
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(Refused, match="must be at least"):
        make()


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_normalizing_is_the_difference_over_the_deviation_of_each_channel(name):
    normalization = NORMALIZATIONS[name]
    images = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    found = normalization.apply(images)
    for b, c, y, x in np.ndindex(2, 3, 4, 5):
        expected = (images[b, c, y, x].double() - normalization.mean[c]) / normalization.std[c]
        assert abs(found[b, c, y, x].item() - expected.item()) < 1e-5


@pytest.mark.parametrize(("mean", "std"), [((0.5, 0.5, 2), (1, 1, 1)), ((0, 0, 0), (1, 1, 0)), ((-1, 0, 0), (1, 1, 1))])
def test_a_normalization_that_is_none_is_refused(mean, std):
    with pytest.raises(Refused, match="normalization"):
        Normalization(mean, std)


def test_bytes_become_the_unit_interval_channel_first():
    images = torch.arange(0, 256, dtype=torch.uint8)[: 2 * 4 * 5 * 3].reshape(2, 4, 5, 3)
    found = to_float(images)
    assert found.shape == (2, 3, 4, 5) and found.dtype == torch.float32
    assert found[1, 2, 3, 4] == images[1, 3, 4, 2] / 255
    assert to_float(torch.full((1, 1, 1, 3), 255, dtype=torch.uint8)).max() == 1


def test_a_view_depends_on_key_and_index_alone():
    images = torch.from_numpy((255 * uniform(3, np.arange(6), 16 * 16 * 3)).astype(np.uint8).reshape(6, 16, 16, 3))
    index, changes, half = np.array([9, 4, 1000, 7, 0, 12]), (Rotate(), Affine(), CropFlip()), NORMALIZATIONS["half"]
    whole = view(images, index, stream(0, "view"), changes, half)
    order = [3, 0, 5]
    assert torch.equal(view(images[order], index[order], stream(0, "view"), changes, half), whole[order])
    assert not torch.equal(view(images, index, stream(1, "view"), changes, half), whole)
    same_image = images[:1].expand(6, -1, -1, -1)
    views = view(same_image, index, stream(0, "view"), changes, half)
    assert len({tuple(one.flatten().tolist()) for one in views}) == 6
    assert torch.equal(view(images, index, 5, (), half), half.apply(to_float(images)))
