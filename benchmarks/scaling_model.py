"""The arithmetic of `deploy/scaling.md`: bytes and seconds of each stage on n GPUs, from measured and assumed constants.

Weak scaling: the batch of a GPU stays the recipe's, so the batch of a step grows with the GPUs; the dataset stays.
"""

from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any

import torch
from scaling_inputs import assumed, known
from torch.utils.flop_counter import FlopCounterMode

from ray_defense.defenses.d_st import Extractor
from ray_defense.losses import semi_supervised_contrastive
from ray_defense.models import build_model
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.pipeline.recipes import cifar10_badnets, imagenet200_badnets
from ray_defense.training.settings import Workers


@dataclass(frozen=True)
class Network:
    """What a model weighs."""

    parameters: int
    trained: int  # parameters with a gradient: those that the all-reduce moves
    buffers: int  # bytes
    flops: int  # of one image forward

    @property
    def weights(self) -> int:
        """Bytes of the model."""
        return 4 * self.parameters + self.buffers


@cache
def network(config: Any, num_classes: int, side: int, projection_dim: int | None = None) -> Network:
    """Returns what a model (in SS-CTL: with a projection head, its classifier frozen) weighs."""
    model = build_model(config, num_classes, 0)
    if projection_dim is not None:
        model.classifier.requires_grad_(False)
        model = Extractor(model, projection_dim)
    numbers = [parameter.numel() for parameter in model.parameters()]
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 3, side, side))
    return Network(sum(numbers), trained, sum(one.nbytes for one in model.buffers()), counter.get_total_flops())


@dataclass(frozen=True)
class Pass:
    """One pass over some samples in an epoch of a stage."""

    samples: int
    images: int  # forward passes an image; a backward pass counts as two
    trains: bool = True


@dataclass(frozen=True)
class Stage:
    """One training stage."""

    name: str
    network: Network
    passes: tuple[Pass, ...]
    epochs: int
    batch: int  # of a GPU
    optimizers: int  # momenta in a checkpoint
    kept: int = 0  # bytes written beside the checkpoint in every epoch
    gathered: int = 0  # bytes a sample that every GPU sends to every other in a step, features with gradient
    gathered_plain: int = 0  # the same without gradient: labels
    drop_last: bool = False


@dataclass(frozen=True)
class Data:
    """A dataset as its shards hold it."""

    name: str
    recipe: Recipe
    num_classes: int
    side: int
    samples: int
    source_bytes: float  # of one file or record read by ingest
    ingest_rate: float  # images/s of a core

    @property
    def jpeg(self) -> bool:
        """Whether shards hold JPEG pages."""
        return self.recipe.shard.jpeg_quality is not None

    @property
    def pixels(self) -> int:
        """Bytes of a decoded image."""
        return 3 * self.side**2

    @property
    def stored(self) -> float:
        """Bytes of an image in its shard."""
        return known("page_bytes") if self.jpeg else self.pixels

    @property
    def shards(self) -> int:
        """Number of shards, and of tasks that write them."""
        return ceil(self.samples / self.recipe.shard.shard_size)

    def streams(self, samples: int) -> bool:
        """Whether so many samples are read again in every epoch."""
        return samples * self.pixels > Workers().resident_bytes

    def steps(self, samples: int, batch: int, gpus: int, drop_last: bool) -> int:
        """Returns the steps of an epoch, as `TrainingSet.num_steps`; a selection is taken to be spread evenly over shards."""
        if not self.streams(samples):
            full, rest = divmod(samples, gpus * batch)
            return full + (not drop_last and rest >= gpus)
        least = samples // self.shards // gpus * self.shards
        return least // batch + (not drop_last and least % batch > 0)

    def left_out(self, samples: int, gpus: int) -> float:
        """Returns the share of the samples that an epoch leaves out because shards do not divide among the GPUs."""
        each = samples // self.shards
        return (each % gpus) / each if self.streams(samples) else 0.0


@cache
def datasets() -> tuple[Data, Data]:
    """Returns the two datasets of the plan."""
    cifar, imagenet = cifar10_badnets(), imagenet200_badnets()
    count = int(assumed("imagenet_images"))
    return (
        Data("CIFAR-10", cifar, 10, 32, 50_000, 3073, known("ingest_rate_32")),
        Data("ImageNet-200", imagenet, 200, 224, count, assumed("source_bytes"), known("ingest_rate")),
    )


def stages(data: Data) -> list[Stage]:
    """Returns the training stages of a dataset's recipe, in order."""
    recipe, count = data.recipe, data.samples
    trusted, poisoned = (round(share * count) for share in (recipe.split.clean_fraction, recipe.split.poison_fraction))
    probe, backdoored, d_br, d_st = recipe.probe, recipe.backdoor, recipe.d_br, recipe.d_st
    small = network(probe.model, data.num_classes, data.side)
    model = network(backdoored.model, data.num_classes, data.side)
    features = 4 * build_model(probe.model, data.num_classes, 0).feature_dim
    rounds = (Pass(poisoned, 3), Pass(trusted, 3), Pass(poisoned, 1, False), Pass(trusted, 1, False))
    whole, sizes = (Pass(count, 3),), (probe.batch_size, backdoored.batch_size, d_br.batch_size)
    found = [
        Stage("probe", small, whole, probe.epochs + probe.intra_epochs, sizes[0], 2, 0, features, 8),
        Stage("backdoored", model, whole, backdoored.epochs, sizes[1], 1),
        Stage("D-BR", model, rounds, d_br.rounds, sizes[2], 1, model.weights),
    ]
    if d_st is not None:
        extractor = network(d_st.model, data.num_classes, data.side, d_st.projection_dim)
        views = (Pass(count, 6),)
        size = 2 * 4 * d_st.projection_dim
        found.append(Stage("SS-CTL", extractor, views, d_st.epochs, d_st.batch_size, 1, 0, size, 9, drop_last=True))
    return found


@dataclass(frozen=True)
class Epoch:
    """Bytes and seconds of one epoch of a stage on some GPUs."""

    steps: int
    read: float  # bytes from the shared disk, all GPUs
    first_read: float  # bytes before the first epoch, all GPUs
    reduced: float  # bytes a GPU sends in a step: gradients
    gathered: float  # the same: features and labels
    checkpoint: int  # bytes
    seconds: dict[str, float]  # what it goes into

    @property
    def total_s(self) -> float:
        """Seconds of the epoch, nothing overlapped."""
        return sum(self.seconds.values())


def epoch(data: Data, stage: Stage, gpus: int) -> Epoch:
    """Returns one epoch of a stage; a step moves 2 (n-1)/n bytes for each byte of gradient, see `deploy/scaling.md`."""
    steps = [data.steps(one.samples, stage.batch, gpus, stage.drop_last) for one in stage.passes]
    of_training = sum(number for one, number in zip(stage.passes, steps, strict=True) if one.trains)
    around = (gpus - 1) / gpus
    reduced = 2 * around * 4 * stage.network.trained
    batch = gpus * stage.batch
    gathered = 3 * around * batch * stage.gathered + around * batch * stage.gathered_plain
    rate = assumed("inside_node") if gpus <= assumed("gpus_per_node") else assumed("between_nodes")
    of_gpu, floor_s = 0.0, assumed("step_s") * sum(steps)
    for one, number in zip(stage.passes, steps, strict=True):
        local = min(stage.batch, one.samples / gpus)
        of_gpu += number * local * one.images * stage.network.flops / (assumed("flops") * assumed("utilization"))
    streamed = sum(one.samples * (1 - data.left_out(one.samples, gpus)) for one in stage.passes if data.streams(one.samples))
    held = {one.samples for one in stage.passes if not data.streams(one.samples)}
    checkpoint = 4 * (stage.network.parameters + stage.optimizers * stage.network.trained) + stage.network.buffers
    written = checkpoint + stage.kept
    seconds = {
        "GPU": max(of_gpu, floor_s) if of_gpu > floor_s else 0.0,
        "step floor": 0.0 if of_gpu > floor_s else floor_s,
        "JPEG decode": streamed / gpus / known("decode_rate") if data.jpeg else 0.0,
        "disk": streamed * data.stored / assumed("disk"),
        "network": of_training * (reduced + gathered) / rate if gpus > 1 else 0.0,
        "checkpoint": written / min(known("checkpoint_rate"), assumed("disk")),
    }
    first_read = gpus * sum(held) * data.stored
    return Epoch(of_training, streamed * data.stored, first_read, reduced, gathered, written, seconds)


def stage_s(data: Data, stage: Stage, gpus: int) -> float:
    """Returns the seconds of a whole stage without the start of Ray Train."""
    one = epoch(data, stage, gpus)
    return stage.epochs * one.total_s + one.first_read / assumed("disk")


def blocks(data: Data) -> int:
    """Returns how many blocks scoring has: none goes over two shards."""
    full, rest = divmod(data.samples, data.recipe.shard.shard_size)
    size = data.recipe.score.block_size
    return full * ceil(data.recipe.shard.shard_size / size) + ceil(rest / size)


@cache
def loss_bytes() -> float:
    """Returns the bytes a pair of views that SS-CTL keeps for its backward pass, counted at 256 views."""
    samples, found = 128, {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = tensor  # alive, so that no address is used twice
        return tensor

    z = torch.nn.functional.normalize(torch.randn(samples, 2, 128), dim=2).requires_grad_()
    labels = torch.arange(samples) % 10
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        semi_supervised_contrastive(z, labels, labels >= 0, temperature=0.1)
    views = 2 * samples
    return sum(one.untyped_storage().nbytes() for one in found.values() if one.numel() == views**2) / views**2
