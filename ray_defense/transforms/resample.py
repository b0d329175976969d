"""New images from old ones: a window at whole pixels, or a point for every output pixel; black outside.

Legend: B images, C channels, H rows, W columns, P = H W, Q = (H + 2) (W + 2). Measured on one CPU thread, 128 images
of 3x32x32: `nearest` by gather takes a quarter of the time of affine_grid and grid_sample, for the same pixels.
"""

import torch
from torch.nn.functional import grid_sample, pad

from ray_defense.transforms.draws import whole


def random_window(images_BCHW: torch.Tensor, margin: tuple[int, int], draws_B2: torch.Tensor) -> torch.Tensor:
    """Returns [B,C,H,W]: a window out of each image padded with `margin` (rows, columns) of black on every side.

    The draws choose top and left, from 0 to twice the margin, all equally likely.
    """
    height, width = images_BCHW.shape[2:]
    top_B, left_B = whole(draws_B2[:, 0], 2 * margin[0] + 1), whole(draws_B2[:, 1], 2 * margin[1] + 1)
    windows = pad(images_BCHW, (margin[1], margin[1], margin[0], margin[0])).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images_BCHW), device=images_BCHW.device), :, top_B, left_B]


def nearest(images_BCHW: torch.Tensor, row_BHW: torch.Tensor, column_BHW: torch.Tensor) -> torch.Tensor:
    """Returns the pixels nearest to the points (row, column), in pixels from the center of the first; ties to even."""
    batch, channels, height, width = images_BCHW.shape
    # Float32 arithmetic on the flat index is twice as fast as int64, and exact below 2 ** 24.
    exact = torch.float32 if (height + 2) * (width + 2) < 2**24 else torch.float64
    # One black pixel around the image is what every point outside falls on.
    row, column = row_BHW.to(exact).round().clamp_(-1, height), column_BHW.to(exact).round().clamp_(-1, width)
    flat_BHW = row.mul_(width + 2).add_(column).add_(width + 3).long()
    flat_BCP = flat_BHW.view(batch, 1, height * width).expand(-1, channels, -1)
    framed_BCQ = pad(images_BCHW, (1, 1, 1, 1)).reshape(batch, channels, (height + 2) * (width + 2))
    return framed_BCQ.gather(2, flat_BCP).view(images_BCHW.shape)


def bilinear(images_BCHW: torch.Tensor, row_BHW: torch.Tensor, column_BHW: torch.Tensor) -> torch.Tensor:
    """Returns the images at the points (row, column), in pixels from the center of the first; blends four neighbors."""
    height, width = images_BCHW.shape[2:]
    grid_BHW2 = torch.stack([(2 * column_BHW + 1) / width - 1, (2 * row_BHW + 1) / height - 1], dim=-1)
    sampled = grid_sample(images_BCHW.to(grid_BHW2.dtype), grid_BHW2, mode="bilinear", align_corners=False)
    return sampled.to(images_BCHW.dtype)
