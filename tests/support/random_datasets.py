"""Suspect datasets of random images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ray_defense.data.suspect_dataset import write_manifest, write_shard


@dataclass(frozen=True)
class RandomDataset:
    """A dataset on disk and what was written to it; the sample at position i has index 10 + 3 i."""

    directory: Path
    images: np.ndarray  # uint8 [N, side, side, 3]
    labels: np.ndarray  # int64 [N]
    parts: list[pa.Table]  # of the manifest, one a shard


def write_random_dataset(
    directory: Path, counts: list[int], side: int = 32, jpeg_quality: int | None = None
) -> RandomDataset:
    """Writes shards of `counts` samples, which are shared out at random, and the manifest."""
    generator = np.random.default_rng(0)
    num_samples = sum(counts)
    images = generator.integers(0, 256, (num_samples, side, side, 3), dtype=np.uint8)
    labels = generator.integers(0, 10, num_samples)
    order = generator.permutation(num_samples)
    parts = []
    for shard, positions in enumerate(np.split(order, np.cumsum(counts)[:-1])):
        part = write_shard(
            directory,
            shard,
            images[positions],
            labels=labels[positions],
            index=10 + 3 * positions,
            origin=[f"image {position}" for position in positions],
            jpeg_quality=jpeg_quality,
        )
        parts.append(part)
    write_manifest(directory, parts)
    return RandomDataset(directory, images, labels, parts=parts)
