"""Shifted windows: a trigger stays where it is, while photographs look alike a little further on.

Two windows of the same image, some pixels apart, are told from each other out of fold. It sees
triggers that are their own mirror image, to which the mirror filter is blind. The null is not
exact: photographs have their subject in the middle, and JPEG cuts them in blocks of 8 pixels, so
that the sign of W is no fair coin. `mid80` says how far from one it is: on CIFAR-10 from JPEG files
it was 0.996 for a shift of 2 pixels, so that nothing could be counted there.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_at_least
from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.required_models import SmallNetworks
from ray_defense.detectors.symmetry import (
    SymmetryTraining,
    antisymmetric_statistic,
    symmetry_networks,
)
from ray_defense.detectors.window import Window
from ray_defense.scores.mirror_accuracy import middle_accuracy
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch

NETWORKS_VERSION = 1


@dataclass(frozen=True)
class ShiftedWindows:
    """W(x) = g(window of x) - g(shifted window of x) by networks that did not see x."""

    name: ClassVar[str] = "shifted_windows"
    draws: ClassVar[int] = 2

    shift: int = 2  # pixels, along rows and columns
    training: SymmetryTraining = SymmetryTraining()

    def __post_init__(self) -> None:
        check_at_least("shift", self.shift, 1)

    @property
    def tau(self) -> tuple[Transform, ...]:
        """The shifted window."""
        return (Window(margin=self.shift, row=0, column=0),)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        return (self._networks,)

    @property
    def _unshifted(self) -> tuple[Transform, ...]:
        return (Window(margin=self.shift, row=self.shift, column=self.shift),)

    @property
    def _networks(self) -> SmallNetworks:
        return symmetry_networks(
            self.name,
            NETWORKS_VERSION,
            self.training,
            symmetry=self.tau,
            original=self._unshifted,
        )

    def read(self, batch: "SampleBatch") -> Columns:
        statistic_B = antisymmetric_statistic(
            batch, self._networks, symmetry=self.tau, original=self._unshifted
        )
        return {self.name: statistic_B}

    def finish(self, gathered: "Gathered") -> Finished:
        statistic_N = gathered.columns[self.name]
        metrics = {"mid80": middle_accuracy(statistic_N)}
        return Finished({self.name: statistic_N}, metrics)
