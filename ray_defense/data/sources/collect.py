"""Makes a batch of samples: one that does not decode or has no valid label is rejected."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ray_defense.data.decode import DecodedImage, DecodeError
from ray_defense.data.sources.protocol import (
    Batch,
    ConvertedSample,
    RejectedSample,
    SourceInfo,
)
from ray_defense.data.text import encodable, shortened

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class UndecodedSample(Generic[Content]):
    """A sample of a source before it is checked and decoded."""

    index: int  # its position in the split
    origin: str  # where it came from: a relative path, or "row 17"
    label: int  # as given, so perhaps invalid
    content: Content  # what `decode` makes an image of: encoded bytes, a path, pixels


def collect_batch(
    samples: Iterable[UndecodedSample[Content]],
    info: SourceInfo,
    decode: Callable[[Content], np.ndarray | DecodedImage],
) -> Batch:
    """Returns samples as a batch.

    A sample that does not decode, or whose label is not in range(num_classes), is rejected with
    the reason and never replaced.

    Args:
        samples: The samples of a range, by ascending index.
        info: What the source holds.
        decode: Returns the image of a sample from its content, uint8 [size, size, 3], with or
            without how it was converted, or raises DecodeError.
    """
    index: list[int] = []
    images: list[np.ndarray] = []
    labels: list[int] = []
    origin: list[str] = []
    rejected: list[RejectedSample] = []
    converted: list[ConvertedSample] = []
    for sample in samples:
        try:
            _check_label(sample.label, info.num_classes)
            image = decode(sample.content)
        except DecodeError as error:
            rejected.append(_rejected(sample, error))
            continue
        if isinstance(image, DecodedImage):
            if image.conversion:
                converted.append(ConvertedSample(sample.index, image.conversion))
            image = image.pixels
        index.append(sample.index)
        images.append(image)
        labels.append(sample.label)
        origin.append(sample.origin)
    no_images = np.zeros((0, info.size, info.size, 3), dtype=np.uint8)
    return Batch(
        index=np.array(index, dtype=np.int64),
        images=np.stack(images) if images else no_images,
        labels=np.array(labels, dtype=np.int64),
        origin=tuple(origin),
        rejected=tuple(rejected),
        converted=tuple(converted),
    )


def _rejected(sample: UndecodedSample[Content], error: DecodeError) -> RejectedSample:
    # The texts of decoders quote the bytes of the file.
    reason = shortened(encodable(str(error))) or "does not decode"
    return RejectedSample(sample.index, sample.origin, reason)


def _check_label(label: int, num_classes: int) -> None:
    if not 0 <= label < num_classes:
        missing = " (or there is none)" if label == -1 else ""
        raise DecodeError(f"label {label}{missing} is not in 0..{num_classes - 1}")
