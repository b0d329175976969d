"""The mirror filter: a trigger is handed, while photographs are nearly mirror-symmetric.

By construction W(mirror x) = -W(x), so on samples without a handed trigger the sign of W is a fair
coin, whatever its size: the negative tail counts the false ones in the positive tail (see
`scores.knockoff`). It looks at no label, and needs no probe, no rate and no clean data. It is blind
to triggers that are their own mirror image.
"""

from dataclasses import dataclass
from typing import ClassVar

from ray_defense.detectors.symmetry import SymmetryDetector
from ray_defense.transforms.flip import Flip
from ray_defense.transforms.protocol import Transform


@dataclass(frozen=True)
class Mirror(SymmetryDetector):
    """W(x) = g(x) - g(mirror x) by networks that did not see x.

    Where `mid50` is far above 1/2 the source itself is handed.
    """

    name: ClassVar[str] = "mirror"
    draws: ClassVar[int] = 1
    networks_version: ClassVar[int] = 2

    @property
    def tau(self) -> tuple[Transform, ...]:
        return (Flip(),)
