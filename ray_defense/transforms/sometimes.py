"""A transform that only some of the images undergo."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.checks import check_in_range
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Sometimes:
    """Applies another transform with a probability; it is built in code, not chosen by name."""

    name: ClassVar[str] = "sometimes"

    transform: Transform
    fraction: float  # probability

    def __post_init__(self) -> None:
        check_in_range("fraction", self.fraction, 0, 1)

    @property
    def num_draws(self) -> int:
        return self.transform.num_draws + 1

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns [B,C,H,W]; the last draw says whether, the others are the transform's."""
        import torch

        from ray_defense.transforms.draws import per_image

        changed = self.transform.apply(images_BCHW, draws_Bn[:, :-1])
        is_changed_B = draws_Bn[:, -1] < self.fraction
        return torch.where(per_image(is_changed_B), changed, images_BCHW)
