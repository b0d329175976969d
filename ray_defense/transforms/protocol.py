"""What every transform and augmentation provides: the number of its draws, and its function."""

from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    import torch


class Transform(Protocol):
    """A frozen dataclass whose fields are the parameters of the transform.

    Its module imports torch inside `apply` alone, so that a configuration costs no such import.
    """

    name: ClassVar[str]

    @property
    def num_draws(self) -> int:
        """n, the uniform draws an image."""

    def apply(self, images_BCHW: "torch.Tensor", draws_Bn: "torch.Tensor") -> "torch.Tensor":
        """Returns transformed images; each depends on its own image and its own draws alone.

        Args:
            images_BCHW: Float images in [0, 1] before normalization, so that a fill of 0 is black.
                They are not changed.
            draws_Bn: Float draws in [0, 1), one row an image. They are not changed.

        Returns:
            Images of the same shape, device and dtype.
        """
