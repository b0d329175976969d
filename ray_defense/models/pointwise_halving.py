"""A 1x1 convolution of stride 2 that takes every second pixel first."""

from torch import Tensor, nn
from torch.nn.functional import conv2d


class PointwiseHalving(nn.Conv2d):
    """Computes what `nn.Conv2d(channels_in, channels_out, 1, stride=2, bias=False)` computes.

    On CPUs with AVX2, oneDNN 3.12 (in torch 2.14) writes out of bounds in the backward pass of that
    layer when images are channels last and have fewer than 8 channels.
    """

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(channels_in, channels_out, 1, bias=False)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return conv2d(images_BCHW[:, :, ::2, ::2], self.weight)
