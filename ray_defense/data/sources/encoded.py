"""Sources whose samples are image files: their bytes as they lie there, for exports."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np

from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.sources.protocol import SourceSplit


@runtime_checkable
class EncodedSource(Protocol):
    """What a `Source` of image files has besides: the files themselves, and how it decodes one."""

    def read_encoded(
        self, split: SourceSplit, low: int, high: int
    ) -> Iterator[UndecodedSample[bytes | None]]:
        """Yields the samples at positions low to high - 1, each with the bytes of its image.

        Raises:
            DecodeError: If a sample is no regular file, or may not be read.
        """

    def decode(self, data: bytes | None) -> np.ndarray:
        """Returns an image as `read` does, uint8 [size, size, 3].

        Raises:
            DecodeError: If the bytes are no image that the source takes.
        """
