"""The two datasets of the plan as their shards hold them: steps, samples left out, blocks."""

from dataclasses import dataclass
from functools import cache
from math import ceil

from benchmarks.scaling.inputs import assumed, measured
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes.cifar import cifar10_badnets
from ray_defense.pipeline.recipes.imagenet200 import imagenet200_badnets


@dataclass(frozen=True)
class PlannedDataset:
    """A dataset as its shards hold it."""

    name: str
    recipe: Recipe
    num_classes: int
    size: int  # pixels of a side
    num_samples: int
    source_bytes: float  # of one file or record that ingest reads
    ingest_rate: float  # images/s of a core
    resident_bytes: int = WorkerGroup().resident_bytes

    @property
    def is_jpeg(self) -> bool:
        """Whether shards hold JPEG pages."""
        return self.recipe.ingest.jpeg_quality is not None

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a decoded image."""
        return 3 * self.size**2

    @property
    def stored_bytes(self) -> float:
        """Bytes of an image in its shard."""
        return measured("page_bytes") if self.is_jpeg else self.pixel_bytes

    @property
    def num_shards(self) -> int:
        """Number of shards, and of tasks that write them."""
        return ceil(self.num_samples / self.recipe.ingest.shard_size)

    @property
    def num_blocks(self) -> int:
        """How many blocks scoring has; none crosses two shards."""
        shard_size = self.recipe.ingest.shard_size
        block_size = self.recipe.detect.block_size
        num_full, rest = divmod(self.num_samples, shard_size)
        return num_full * ceil(shard_size / block_size) + ceil(rest / block_size)

    def streams(self, num_samples: int) -> bool:
        """Returns whether so many samples are read again in every epoch."""
        return num_samples * self.pixel_bytes > self.resident_bytes

    def num_steps(self, num_samples: int, batch_size: int, num_gpus: int, drop_last: bool) -> int:
        """Returns the steps of an epoch, as `TrainingSet.num_steps` counts them.

        A part of the samples is taken to be spread evenly over the shards.

        Args:
            num_samples: Of the epoch.
            batch_size: Of a GPU.
            num_gpus: How many GPUs there are.
            drop_last: Whether a smaller last batch is left out.
        """
        if not self.streams(num_samples):
            num_full, rest = divmod(num_samples, num_gpus * batch_size)
            return num_full + (not drop_last and rest >= num_gpus)
        fewest = num_samples // self.num_shards // num_gpus * self.num_shards
        return fewest // batch_size + (not drop_last and fewest % batch_size > 0)

    def left_out_fraction(self, num_samples: int, num_gpus: int) -> float:
        """Returns the fraction of samples that an epoch leaves out.

        Shards of a streamed dataset do not always divide among the GPUs.
        """
        if not self.streams(num_samples):
            return 0.0
        in_shard = num_samples // self.num_shards
        return (in_shard % num_gpus) / in_shard


@cache
def cifar10() -> PlannedDataset:
    """Returns CIFAR-10."""
    return PlannedDataset(
        name="CIFAR-10",
        recipe=cifar10_badnets(),
        num_classes=10,
        size=32,
        num_samples=50_000,
        source_bytes=3073,
        ingest_rate=measured("ingest_rate_32"),
    )


@cache
def imagenet200() -> PlannedDataset:
    """Returns the paper's 200 classes of ImageNet."""
    return PlannedDataset(
        name="ImageNet-200",
        recipe=imagenet200_badnets(),
        num_classes=200,
        size=224,
        num_samples=int(assumed("imagenet_images")),
        source_bytes=assumed("source_bytes"),
        ingest_rate=measured("ingest_rate"),
    )
