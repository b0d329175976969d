"""Two processes train the model of one: SS-CTL over a gathered batch, and batch statistics.

Shapes: B samples, V views, D projection.
"""

from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from ray_defense.data.shards.reader import ImageBatch
from ray_defense.losses.contrastive import semi_supervised_contrastive
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.training.supervised import train_epoch

NUM_SAMPLES = 8
NUM_VIEWS = 2
PROJECTION_DIM = 5
NUM_INPUTS = 7


def linear_model() -> torch.nn.Linear:
    generator = torch.Generator().manual_seed(3)
    model = torch.nn.Linear(NUM_INPUTS, PROJECTION_DIM, bias=False, dtype=torch.float64)
    weights = torch.randn(PROJECTION_DIM, NUM_INPUTS, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(weights)
    return model


def linear_inputs() -> torch.Tensor:
    """Returns the inputs of all samples, [B, V, 7]."""
    generator = torch.Generator().manual_seed(4)
    shape = (NUM_SAMPLES, NUM_VIEWS, NUM_INPUTS)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def label_tensors() -> tuple[torch.Tensor, torch.Tensor]:
    """Returns labels and which samples are trusted, [B]."""
    labels_B = torch.tensor([0, 1, 0, 1, 2, 2, 0, 1])
    trusted_B = torch.tensor([1, 1, 1, 0, 0, 1, 1, 1], dtype=torch.bool)
    return labels_B, trusted_B


def contrastive_loss(
    z_BVD: torch.Tensor, labels_B: torch.Tensor, trusted_B: torch.Tensor
) -> torch.Tensor:
    return semi_supervised_contrastive(z_BVD, labels_B, trusted_B, temperature=0.3)


def join_group(rank: int, rendezvous: str) -> None:
    """Joins a group of two processes that meet in a file."""
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)


def take_one_step_of_two(rank: int, folder: str) -> None:
    from ray_defense.cluster.collectives import gather_with_gradient

    join_group(rank, f"{folder}/rendezvous")
    model = linear_model()
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    labels_B, trusted_B = label_tensors()
    half = NUM_SAMPLES // 2
    share = slice(rank * half, (rank + 1) * half)
    z_BVD = torch.nn.functional.normalize(wrapped(linear_inputs()[share]), dim=-1)
    loss = contrastive_loss(
        gather_with_gradient(z_BVD),
        gather_with_gradient(labels_B[share]),
        gather_with_gradient(trusted_B[share]),
    )
    loss.backward()  # type: ignore[no-untyped-call]
    result = {"loss": loss.detach(), "gradient": model.weight.grad}
    torch.save(result, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def test_the_gathered_gradient_of_two_ranks_is_that_of_one(tmp_path: Path) -> None:
    model = linear_model()
    labels_B, trusted_B = label_tensors()
    z_BVD = torch.nn.functional.normalize(model(linear_inputs()), dim=-1)
    loss = contrastive_loss(z_BVD, labels_B, trusted_B)
    loss.backward()  # type: ignore[no-untyped-call]
    spawn(take_one_step_of_two, (str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
    for rank in range(2):
        result = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        torch.testing.assert_close(result["loss"], loss.detach(), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(result["gradient"], model.weight.grad, rtol=1e-12, atol=1e-14)


class NormalizedClassifier(torch.nn.Module):
    """A classifier whose batch statistics differ from worker to worker."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.classifier = torch.nn.Linear(3, 2)

    def forward(self, x_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features_BD = self.norm(x_BCHW).mean((2, 3))
        return features_BD, self.classifier(features_BD)


def channels_first(images_BHWC: torch.Tensor, index_B: np.ndarray) -> torch.Tensor:
    return images_BHWC.permute(0, 3, 1, 2)


def train_one_epoch_of_two(rank: int, folder: str) -> None:
    from ray_defense.cluster.training import RayWorker

    join_group(rank, f"{folder}/epoch")
    worker = RayWorker.__new__(RayWorker)  # without Ray: only what an epoch needs
    worker.rank = rank
    worker.world_size = 2
    worker.device = torch.device("cpu")
    torch.manual_seed(0)
    model = NormalizedClassifier()
    wrapped = worker.wrap(model)
    images_BHWC = torch.rand(4, 8, 8, 3) * (1 + 9 * rank)
    batch = ImageBatch(images_BHWC, torch.tensor([0, 1, 0, 1]), torch.arange(4))
    train_epoch(
        worker,
        wrapped,
        torch.optim.SGD(model.parameters(), lr=0.1),
        batches=[batch, batch],
        view=channels_first,
        loss=cross_entropy,
    )
    torch.save(model.state_dict(), f"{folder}/epoch{rank}.pt")
    dist.destroy_process_group()


def test_after_an_epoch_all_workers_hold_one_model_batch_statistics_included(
    tmp_path: Path,
) -> None:
    spawn(train_one_epoch_of_two, (str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
    first = torch.load(tmp_path / "epoch0.pt", weights_only=True)
    second = torch.load(tmp_path / "epoch1.pt", weights_only=True)
    assert first.keys() == second.keys()
    assert "norm.running_var" in first
    for name in first:
        assert torch.equal(first[name], second[name]), name
