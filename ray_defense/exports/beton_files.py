"""FFCV's .beton files of the audited pixels; they are written without FFCV."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from ray_defense.exports.protocol import ExportedSample, ExportRequest, PictureKind

_FILE_BYTES = 2**30  # of pixels in a file, which are in memory at a time


class BetonFiles:
    """`train-00000.beton`, ..., with the fields image, label and index."""

    name: ClassVar[str] = "beton"
    pictures: ClassVar[PictureKind] = "pixels"
    is_list: ClassVar[bool] = False

    def write(
        self, folder: Path, samples: Iterable[ExportedSample], request: ExportRequest
    ) -> Iterator[tuple[str, ExportedSample]]:
        from ray_defense.data.shards.beton_writer import write_beton

        rest = iter(samples)
        for number, first in enumerate(rest):  # of a file
            assert first.pixels is not None
            num_samples = max(1, _FILE_BYTES // first.pixels.nbytes)
            chosen = [first, *itertools.islice(rest, num_samples - 1)]
            file = f"train-{number:05d}.beton"
            write_beton(
                folder / file,
                np.stack([sample.pixels for sample in chosen if sample.pixels is not None]),
                labels=np.array([sample.label for sample in chosen], np.int64),
                index=np.array([sample.index for sample in chosen], np.int64),
            )
            for row, sample in enumerate(chosen):
                yield f"{file} row {row}", sample

    def notes(self, request: ExportRequest) -> Sequence[str]:
        return ("the fields of the .beton files are image (raw RGB), label and index",)
