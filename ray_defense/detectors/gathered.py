"""What some detectors read off all samples, for those whose columns need all of them at once.

Shapes: N samples, n of them, D numbers a sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ray_defense.data.suspect_dataset import SuspectDataset


@dataclass(frozen=True)
class Gathered:
    """The columns that were read, in the order of the dataset's samples.

    Columns of one number a sample are in memory. Wider ones lie in files, from which only the rows
    that are asked for are read.
    """

    dataset: SuspectDataset
    columns: Mapping[str, np.ndarray]  # [N], or a memory map [N, D]
    evidence: Mapping[str, np.ndarray]  # float64 [N], the columns of the evidence that it follows

    def rows(self, name: str, positions: np.ndarray) -> np.ndarray:
        """Returns the rows of a column at some positions, [n] or [n, D]."""
        return np.array(self.columns[name][positions])
