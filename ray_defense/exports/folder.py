"""Class folders of image files, as `image_folder`, torchvision and most programs read them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar

from ray_defense.exports.protocol import ExportedSample, ExportRequest, PictureKind
from ray_defense.exports.safe_names import DistinctNames, safe_name, with_image_ending


class Folder:
    """`<class>/<file name>`; names that are unsafe are made safe, and taken ones are numbered."""

    name: ClassVar[str] = "folder"
    pictures: ClassVar[PictureKind] = "file"
    is_list: ClassVar[bool] = False

    def write(
        self, folder: Path, samples: Iterable[ExportedSample], request: ExportRequest
    ) -> Iterator[tuple[str, ExportedSample]]:
        class_folders = class_folder_names(request.class_names)
        names: dict[int, DistinctNames] = {}
        for sample in samples:
            assert sample.image is not None
            if sample.label not in names:
                (folder / class_folders[sample.label]).mkdir()
                names[sample.label] = DistinctNames()
            file = with_image_ending(safe_name(PurePosixPath(sample.file).name), sample.image)
            written = f"{class_folders[sample.label]}/{names[sample.label].take(file)}"
            (folder / written).write_bytes(sample.image)
            yield written, sample

    def notes(self, request: ExportRequest) -> Sequence[str]:
        folders = class_folder_names(request.class_names)
        if folders == sorted(folders):
            return ()
        return (
            "the class folders, sorted by name, are in another order than the labels of the "
            "audit: a program that numbers folders gives other labels than export.csv has",
        )


def class_folder_names(class_names: Sequence[str]) -> list[str]:
    """Returns a safe and distinct name of a folder for each class."""
    distinct = DistinctNames()
    return [distinct.take(safe_name(name)) for name in class_names]
