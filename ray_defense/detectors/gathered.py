"""What some detectors read off all samples, for those whose columns need all of them at once.

Shapes: N samples, D numbers a sample.
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
