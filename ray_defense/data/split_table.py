"""The table of a split: which of the trusted, flagged and uncertain samples each one is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ray_defense.data.table_file import read_table, write_table

SPLIT_FILE = "split.parquet"
PARTS = ("trusted", "flagged", "uncertain")


@dataclass(frozen=True)
class SplitTable:
    """A split with the scores it was made from."""

    index: np.ndarray  # int64 [N], ascending
    score: np.ndarray  # float64 [N], larger is more suspicious
    part: np.ndarray  # str [N], one of PARTS

    def members(self, part: str) -> np.ndarray:
        """Returns the indices of one part, int64, ascending."""
        members: np.ndarray = self.index[self.part == part]
        return members

    def others(self, part: str) -> np.ndarray:
        """Returns the indices of all samples outside of one part, int64, ascending."""
        others: np.ndarray = self.index[self.part != part]
        return others


def write_split(directory: Path, table: SplitTable) -> None:
    """Writes the table of a split into a directory."""
    columns = {"index": table.index, "score": table.score, "split": table.part.tolist()}
    write_table(directory / SPLIT_FILE, pa.table(columns))


def read_split(directory: Path) -> SplitTable:
    """Returns the table of the split in a directory."""
    table = read_table(directory / SPLIT_FILE)
    return SplitTable(
        index=table["index"].to_numpy(),
        score=table["score"].to_numpy(),
        part=np.array(table["split"].to_pylist(), dtype=str),
    )
