"""A list of samples as CSV: file, class, label and index; no image is copied."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from ray_defense.data.csv_file import write_csv
from ray_defense.exports.protocol import ExportedSample, ExportRequest, PictureKind

LIST_FILE = "samples.csv"


class CsvList:
    """`samples.csv`, whose files are relative to the audited data."""

    name: ClassVar[str] = "csv"
    pictures: ClassVar[PictureKind] = "none"
    is_list: ClassVar[bool] = True

    def write(
        self, folder: Path, samples: Iterable[ExportedSample], request: ExportRequest
    ) -> Iterator[tuple[str, ExportedSample]]:
        rows = ((sample.file, sample.class_name, sample.label, sample.index) for sample in samples)
        write_csv(folder / LIST_FILE, ("file", "class", "label", "index"), rows)
        return iter(())

    def notes(self, request: ExportRequest) -> Sequence[str]:
        return ("files are named relative to the audited data, and none is copied",)
