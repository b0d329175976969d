"""Datasets that `save_to_disk()` of Hugging Face wrote: Arrow files, read without `datasets`."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ray_defense.data.sources.protocol import SourceSplit
from ray_defense.data.sources.row_files import RowFiles, RowReader
from ray_defense.data.sources.saved_dataset_files import (
    class_names_in_info,
    described_by,
    find_saved_files,
)
from ray_defense.data.sources.signature import files_signature
from ray_defense.data.sources.split_files import SplitFiles


@dataclass(frozen=True)
class SavedDataset(RowFiles):
    """Images and labels in two columns of a saved dataset (see `RowFiles`).

    The path is the folder that `save_to_disk()` wrote, of one dataset or of a set of splits, or one
    Arrow file. The class names come from the schema, or else from `dataset_info.json`.
    """

    name: ClassVar[str] = "saved_dataset"

    def files(self) -> SplitFiles:
        return find_saved_files(self.path)

    def row_reader(self) -> RowReader:
        from ray_defense.data.rows import arrow_rows

        return arrow_rows

    def class_names_beside(self, file: Path) -> tuple[str, ...]:
        described = self.row_reader().describe_file(file, self.column_names())
        return class_names_in_info(file.parent, described.columns.label)

    def rows_signature(self, split: SourceSplit) -> str:
        found = self.files()
        files = found.train if split == "train" else found.test
        if not files:
            return ""
        return files_signature(found.root, (*described_by(found, files), *files))
