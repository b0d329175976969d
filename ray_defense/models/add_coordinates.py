"""Two channels that say where a pixel is, beside those of the image."""

import torch
from torch import Tensor, nn


class AddCoordinates(nn.Module):
    """Appends the row and the column of each pixel, from -1 to 1."""

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Returns [B, C + 2, H, W]."""
        num_images, _, height, width = images_BCHW.shape
        rows_H = torch.linspace(-1, 1, height, device=images_BCHW.device, dtype=images_BCHW.dtype)
        columns_W = torch.linspace(-1, 1, width, device=images_BCHW.device, dtype=images_BCHW.dtype)
        shape = (num_images, 1, height, width)
        rows_BCHW = rows_H[None, None, :, None].expand(shape)
        columns_BCHW = columns_W[None, None, None, :].expand(shape)
        joined = torch.cat((images_BCHW, rows_BCHW, columns_BCHW), dim=1)
        return joined.contiguous(memory_format=torch.channels_last)
