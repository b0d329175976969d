"""The mirror filter: a trigger is handed, while photographs are nearly mirror-symmetric.

By construction W(mirror x) = -W(x), so on samples without a handed trigger the sign of W is a fair
coin, whatever its size: the negative tail counts the false ones in the positive tail (see
`scores.knockoff`). It looks at no label, and needs no probe, no rate and no clean data. It is blind
to triggers that are their own mirror image.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.required_models import SmallNetworks
from ray_defense.detectors.symmetry import (
    SymmetryTraining,
    antisymmetric_statistic,
    symmetry_networks,
)
from ray_defense.scores.mirror_accuracy import middle_accuracy
from ray_defense.transforms.flip import Flip
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch

NETWORKS_VERSION = 1


@dataclass(frozen=True)
class Mirror:
    """W(x) = g(x) - g(mirror x) by networks that did not see x.

    The evidence's metric `mid80` is the accuracy among the 80 % of samples with the smallest |W|:
    far above 1/2 the source itself is handed, and the signs of W are no fair coins.
    """

    name: ClassVar[str] = "mirror"
    tau: ClassVar[tuple[Transform, ...]] = (Flip(),)
    draws: ClassVar[int] = 1

    training: SymmetryTraining = SymmetryTraining()

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        return (self._networks,)

    @property
    def _networks(self) -> SmallNetworks:
        return symmetry_networks(self.name, NETWORKS_VERSION, self.training, symmetry=self.tau)

    def read(self, batch: "SampleBatch") -> Columns:
        return {self.name: antisymmetric_statistic(batch, self._networks, symmetry=self.tau)}

    def finish(self, gathered: "Gathered") -> Finished:
        statistic_N = gathered.columns[self.name]
        metrics = {"mid80": middle_accuracy(statistic_N)}
        return Finished({self.name: statistic_N}, metrics)
