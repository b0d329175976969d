"""Samples to a batch: one that does not decode or has no valid label is rejected with its reason, never replaced."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from ray_defense.data.decode import DecodeError
from ray_defense.data.sources.protocol import Batch, Rejected, SourceInfo

Item = TypeVar("Item")


def collect(samples: Iterable[tuple[int, str, int, Item]], info: SourceInfo, decode: Callable[[Item], np.ndarray]) -> Batch:
    """Returns the batch of `samples`, each (index, origin, label, item).

    `decode` maps an item to uint8 [size, size, 3] or raises DecodeError.
    """
    rows, images, rejected = [], [], []
    for index, origin, label, item in samples:
        try:
            if not 0 <= label < info.num_classes:
                missing = " (or there is none)" if label == -1 else ""
                raise DecodeError(f"label {label}{missing} is not in 0..{info.num_classes - 1}")
            images.append(decode(item))
        except DecodeError as error:
            rejected.append(Rejected(index, origin, str(error)))
        else:
            rows.append((index, origin, label))
    return Batch(
        index=np.array([row[0] for row in rows], dtype=np.int64),
        images=np.stack(images) if images else np.zeros((0, info.size, info.size, 3), dtype=np.uint8),
        labels=np.array([row[2] for row in rows], dtype=np.int64),
        origin=tuple(row[1] for row in rows),
        rejected=tuple(rejected),
    )
