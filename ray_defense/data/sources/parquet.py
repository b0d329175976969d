"""Parquet files of encoded images and labels."""

from dataclasses import dataclass
from typing import ClassVar

from ray_defense.data.sources.row_files import RowFiles, RowReader
from ray_defense.data.sources.split_files import SplitFiles, find_split_files


@dataclass(frozen=True)
class Parquet(RowFiles):
    """Images and labels in two columns of Parquet files (see `RowFiles`).

    The path is a file (training set alone), or a folder of files whose names say the split:
    `find_split_files` says which files of a folder are read.
    """

    name: ClassVar[str] = "parquet"

    def files(self) -> SplitFiles:
        return find_split_files(self.path, (".parquet",))

    def row_reader(self) -> RowReader:
        from ray_defense.data.rows import parquet_rows

        return parquet_rows
