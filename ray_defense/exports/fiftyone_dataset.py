"""FiftyOne's format FiftyOneImageClassificationDataset: `data/` and `labels.json`.

`fiftyone.Dataset.from_dir(dataset_dir=DIR,
dataset_type=fiftyone.types.FiftyOneImageClassificationDataset)` reads it.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from ray_defense.core.files import write_json
from ray_defense.exports.numbered_images import write_numbered_images
from ray_defense.exports.protocol import ExportedSample, ExportRequest, PictureKind


class FiftyOneDataset:
    """`data/<index>.<ending>`, and the label of each by the name of its file without ending."""

    name: ClassVar[str] = "fiftyone"
    pictures: ClassVar[PictureKind] = "file"
    is_list: ClassVar[bool] = False

    def write(
        self, folder: Path, samples: Iterable[ExportedSample], request: ExportRequest
    ) -> Iterator[tuple[str, ExportedSample]]:
        labels = {}
        for name, sample in write_numbered_images(folder / "data", samples):
            labels[Path(name).stem] = sample.label
            yield f"data/{name}", sample
        write_json(folder / "labels.json", {"classes": list(request.class_names), "labels": labels})

    def notes(self, request: ExportRequest) -> Sequence[str]:
        return ("its type in FiftyOne is FiftyOneImageClassificationDataset",)
