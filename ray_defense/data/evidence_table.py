"""The evidence of a dataset: what detectors say of each sample, one column a number."""

from pathlib import Path

import numpy as np

from ray_defense.data.table_file import read_table

EVIDENCE_FILE = "evidence.parquet"


def read_evidence(directory: Path) -> dict[str, np.ndarray]:
    """Returns the columns of all detectors of some evidence, float64 [N], by ascending index."""
    table = read_table(directory / EVIDENCE_FILE)
    columns = {}
    for name in table.column_names:
        if name != "index":
            columns[name] = table[name].to_numpy()
    return columns


def read_scores(directory: Path, detector: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices, int64 [N], and a detector's scores, float64 [N], of some evidence."""
    table = read_table(directory / EVIDENCE_FILE, ["index", detector])
    return table["index"].to_numpy(), table[detector].to_numpy()
