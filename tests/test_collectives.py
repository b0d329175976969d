"""The gradient of SS-CTL over a batch gathered from two processes is that of one process that holds the whole batch."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ray_defense.losses import semi_supervised_contrastive

B, V, D = 8, 2, 5


def problem() -> tuple[torch.nn.Linear, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    model = torch.nn.Linear(7, D, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.randn(D, 7, generator=generator, dtype=torch.float64))
    x = torch.randn(B, V, 7, generator=generator, dtype=torch.float64)
    labels, trusted = torch.tensor([0, 1, 0, 1, 2, 2, 0, 1]), torch.tensor([1, 1, 1, 0, 0, 1, 1, 1], dtype=torch.bool)
    return model, x, labels, trusted


def loss_of(z_BVD: torch.Tensor, labels: torch.Tensor, trusted: torch.Tensor) -> torch.Tensor:
    return semi_supervised_contrastive(z_BVD, labels, trusted, temperature=0.3)


def one_of_two(rank: int, folder: str) -> None:
    from ray_defense.cluster.collectives import gather

    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    model, x, labels, trusted = problem()
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    mine = slice(rank * B // 2, (rank + 1) * B // 2)
    z = torch.nn.functional.normalize(wrapped(x[mine]), dim=-1)
    loss = loss_of(gather(z), gather(labels[mine]), gather(trusted[mine]))
    loss.backward()
    torch.save({"loss": loss.detach(), "gradient": model.weight.grad}, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def test_the_gathered_gradient_of_two_ranks_is_that_of_one(tmp_path: Path):
    model, x, labels, trusted = problem()
    loss = loss_of(torch.nn.functional.normalize(model(x), dim=-1), labels, trusted)
    loss.backward()
    mp.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    for rank in range(2):
        found = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["loss"], loss.detach(), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(found["gradient"], model.weight.grad, rtol=1e-12, atol=1e-14)


class Normalized(torch.nn.Module):
    """A classifier whose batch statistics differ from worker to worker."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.classifier = torch.nn.BatchNorm2d(3), torch.nn.Linear(3, 2)

    def forward(self, x_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features_BD = self.norm(x_BCHW).mean((2, 3))
        return features_BD, self.classifier(features_BD)


def epoch_of_two(rank: int, folder: str) -> None:
    from ray_defense.cluster.training import RayWorker
    from ray_defense.data.suspect_dataset import ImageBatch
    from ray_defense.losses import relearning
    from ray_defense.training.supervised import train_epoch

    dist.init_process_group("gloo", init_method=f"file://{folder}/epoch", rank=rank, world_size=2)
    worker = RayWorker.__new__(RayWorker)  # without Ray: only what an epoch needs
    worker.rank, worker.world_size, worker.device = rank, 2, torch.device("cpu")
    torch.manual_seed(0)
    model = Normalized()
    wrapped = worker.wrap(model)
    images = torch.rand(4, 8, 8, 3) * (1 + 9 * rank)
    batches = [ImageBatch(images, torch.tensor([0, 1, 0, 1]), torch.arange(4))] * 2
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_epoch(worker, wrapped, optimizer, batches, lambda x, index: x.permute(0, 3, 1, 2), relearning)
    torch.save(model.state_dict(), f"{folder}/epoch{rank}.pt")
    dist.destroy_process_group()


def test_after_an_epoch_all_workers_hold_one_model_batch_statistics_included(tmp_path: Path):
    mp.spawn(epoch_of_two, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"epoch{rank}.pt", weights_only=True) for rank in range(2))
    assert first.keys() == second.keys() and "norm.running_var" in first
    for name in first:
        assert torch.equal(first[name], second[name]), name
