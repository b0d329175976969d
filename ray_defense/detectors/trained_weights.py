"""Where the networks of a model that detectors need stand."""

from dataclasses import dataclass
from pathlib import Path

from ray_defense.models.protocol import Model


@dataclass(frozen=True)
class TrainedWeights:
    """The weight files of a required model, and the shape of its networks."""

    files: tuple[Path, ...]  # of networks of one shape: one a fold, or alternatives
    network: Model
    num_classes: int | None = None  # None: the classes of the dataset
    fold_key: int | None = None  # where each network reads the samples of its own fold
