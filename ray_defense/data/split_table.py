"""The table of a split: index, score and which of trusted, poisoned, uncertain a sample is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.data.suspect_dataset import write_table

NAMES = ("trusted", "poisoned", "uncertain")


@dataclass(frozen=True)
class SplitTable:
    """A split read back; `index` ascends."""

    index: np.ndarray  # int64 [N]
    score: np.ndarray  # float64 [N]
    split: np.ndarray  # str [N], one of NAMES

    def members(self, name: str) -> np.ndarray:
        """Returns the indices of one part, ascending, int64."""
        return self.index[self.split == name]


def write_split(path: Path, table: SplitTable) -> None:
    """Writes split.parquet."""
    write_table(path, pa.table({"index": table.index, "score": table.score, "split": table.split.tolist()}))


def read_split(path: Path) -> SplitTable:
    """Reads split.parquet."""
    table = pq.read_table(path)
    return SplitTable(table["index"].to_numpy(), table["score"].to_numpy(), np.array(table["split"].to_pylist(), dtype=str))
