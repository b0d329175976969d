"""Which samples may be poisoned, the labels they get, and the test images that ASR counts."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from ray_defense.attacks.labels import all_to_label, as_labels, check_classes
from ray_defense.core.checks import check_at_least


class Target(Protocol):
    """The classes that an attack concerns: a frozen dataclass.

    Its methods are pure functions of labels int [N]; they raise InputError for labels that are not
    class numbers.
    """

    name: ClassVar[str]

    @property
    def cover_ratio(self) -> float:
        """The number of cover samples for each poisoned sample.

        Cover samples get the trigger and keep their labels (Qi et al., ICLR 2023).
        """

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the training samples that may be poisoned."""

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: the labels after poisoning.

        These are also the labels that the attacker wants predicted at test time.
        """

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the test images over which ASR is counted."""


@dataclass(frozen=True)
class AllToOne:
    """Triggered images of every other class become the target class; their labels are changed."""

    name: ClassVar[str] = "all2one"

    label: int = 0  # y_t, the target class
    cover_ratio: float = 0.0  # cover samples for each poisoned sample

    def __post_init__(self) -> None:
        check_at_least("label", self.label, 0)
        check_at_least("cover_ratio", self.cover_ratio, 0)

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the samples of every class but the target class."""
        other_class: np.ndarray = as_labels(labels) != self.label
        return other_class

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: the target class for every sample."""
        return all_to_label(labels, self.label, num_classes)

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the test images of every class but the target class."""
        other_class: np.ndarray = as_labels(labels) != self.label
        return other_class


@dataclass(frozen=True)
class CleanLabel:
    """Only images of the target class are poisoned, so no label changes; ASR is as in all2one."""

    name: ClassVar[str] = "clean_label"
    cover_ratio: ClassVar[float] = 0.0  # every poisoned sample keeps its label already

    label: int = 0  # y_t, the only class that is poisoned

    def __post_init__(self) -> None:
        check_at_least("label", self.label, 0)

    def eligible(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the samples of the target class."""
        target_class: np.ndarray = as_labels(labels) == self.label
        return target_class

    def relabel(self, labels: np.ndarray, num_classes: int) -> np.ndarray:
        """Returns int64 [N]: the target class for all; eligible samples already have it."""
        return all_to_label(labels, self.label, num_classes)

    def victims(self, labels: np.ndarray) -> np.ndarray:
        """Returns bool [N]: the test images of every class but the target class."""
        other_class: np.ndarray = as_labels(labels) != self.label
        return other_class


@dataclass(frozen=True)
class AllToAll:
    """Triggered images of class y become class (y + 1) mod N, N being the number of classes."""

    name: ClassVar[str] = "all2all"

    cover_ratio: float = 0.0  # cover samples for each poisoned sample

    def __post_init__(self) -> None:
        check_at_least("cover_ratio", self.cover_ratio, 0)

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


TARGETS: dict[str, type[Target]] = {
    "all2one": AllToOne,
    "clean_label": CleanLabel,
    "all2all": AllToAll,
}
