"""Whom an attack concerns: which samples may be poisoned, the labels they get, and over which test images ASR is counted."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from ray_defense.attacks.labels import all_to_target, as_labels, check_classes
from ray_defense.core.checks import at_least


class Aim(Protocol):
    """A frozen dataclass; pure functions of labels int [N], each refusing what is not a class number."""

    name: ClassVar[str]
    cover_ratio: float  # cover samples a poisoned one: triggered, but keeping their labels (Qi et al., ICLR 2023)

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the training samples that may be poisoned."""

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: labels after poisoning, also what the attacker wants predicted at test time."""

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the test images over which ASR is counted."""


@dataclass(frozen=True)
class AllToOne:
    """Triggered images of every other class are to be taken for the target; their labels are changed to it."""

    name: ClassVar[str] = "all2one"

    target: int = 0  # y_t
    cover_ratio: float = 0.0  # cover samples a poisoned one

    def __post_init__(self) -> None:
        at_least("target", self.target, 0)
        at_least("cover_ratio", self.cover_ratio, 0)

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the samples of every class but the target."""
        return as_labels(labels) != self.target

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: the target for all."""
        return all_to_target(labels, self.target, num_classes)

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the test images of every class but the target."""
        return as_labels(labels) != self.target


@dataclass(frozen=True)
class CleanLabel:
    """Only images of the target class are poisoned, so that no label is changed; at test time as all to one."""

    name: ClassVar[str] = "clean_label"
    cover_ratio: ClassVar[float] = 0.0  # every poisoned sample keeps its label already

    target: int = 0  # y_t, the only class poisoned

    def __post_init__(self) -> None:
        at_least("target", self.target, 0)

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the samples of the target class."""
        return as_labels(labels) == self.target

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: the target for all, which eligible samples already have."""
        return all_to_target(labels, self.target, num_classes)

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the test images of every class but the target."""
        return as_labels(labels) != self.target


@dataclass(frozen=True)
class AllToAll:
    """Triggered images of class y are to be taken for class y + 1 mod N."""

    name: ClassVar[str] = "all2all"

    cover_ratio: float = 0.0  # cover samples a poisoned one

    def __post_init__(self) -> None:
        at_least("cover_ratio", self.cover_ratio, 0)

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: all samples."""
        return np.ones(len(as_labels(labels)), dtype=bool)

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: the next class, (y + 1) mod N."""
        labels = as_labels(labels)
        check_classes(labels, num_classes)
        return (labels + 1) % num_classes

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: all test images."""
        return np.ones(len(as_labels(labels)), dtype=bool)


AIMS: dict[str, type[Aim]] = {"all2one": AllToOne, "clean_label": CleanLabel, "all2all": AllToAll}
