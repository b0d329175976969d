"""One Parquet file of encoded images: what the source `parquet` reads, and `datasets` too."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from ray_defense.exports.protocol import ExportedSample, ExportRequest, PictureKind

FILE = "train.parquet"


class ParquetFile:
    """`train.parquet` with the columns image (a struct of bytes and path), label and index."""

    name: ClassVar[str] = "parquet"
    pictures: ClassVar[PictureKind] = "file"
    is_list: ClassVar[bool] = False

    def write(
        self, folder: Path, samples: Iterable[ExportedSample], request: ExportRequest
    ) -> Iterator[tuple[str, ExportedSample]]:
        from ray_defense.exports.image_rows import write_image_rows

        for row, sample in enumerate(write_image_rows(folder / FILE, samples, request.class_names)):
            yield f"{FILE} row {row}", sample

    def notes(self, request: ExportRequest) -> Sequence[str]:
        return ()
