"""New images from old ones: a window at whole pixels, or a point for every output pixel.

What lies outside of an image is black.

Legend: B images, C channels, H rows, W columns, P = H W, Q = (H + 2) (W + 2).
"""

import torch
from torch.nn.functional import grid_sample, pad

from ray_defense.transforms.draws import to_integers


def random_window(
    images_BCHW: torch.Tensor, margin: tuple[int, int], draws_B2: torch.Tensor
) -> torch.Tensor:
    """Returns a window of each image after padding with black, as large as the image itself.

    Args:
        images_BCHW: The images.
        margin: The rows of black above and below, and the columns of black left and right.
        draws_B2: Draws that choose the top and the left of the window, from 0 to twice the margin,
            all equally likely.

    Returns:
        [B,C,H,W].
    """
    height, width = images_BCHW.shape[2:]
    margin_rows, margin_columns = margin
    top_B = to_integers(draws_B2[:, 0], 2 * margin_rows + 1)
    left_B = to_integers(draws_B2[:, 1], 2 * margin_columns + 1)
    padded = pad(images_BCHW, (margin_columns, margin_columns, margin_rows, margin_rows))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    image_B = torch.arange(len(images_BCHW), device=images_BCHW.device)
    return windows[image_B, :, top_B, left_B]


def sample_nearest(
    images_BCHW: torch.Tensor, row_BHW: torch.Tensor, column_BHW: torch.Tensor
) -> torch.Tensor:
    """Returns for every output pixel the pixel that is nearest to its point, or black outside.

    On one CPU thread, with 128 images of 3x32x32, this gather takes a quarter of the time of
    affine_grid and grid_sample and gives the same pixels.

    Args:
        images_BCHW: The images.
        row_BHW: The row of each point, in pixels from the center of the first pixel.
        column_BHW: The column of each point. A point between two pixels falls to the even one.

    Returns:
        [B,C,H,W].
    """
    batch, channels, height, width = images_BCHW.shape
    # Float32 arithmetic on the flat index is twice as fast as int64, and exact below 2 ** 24.
    exact = torch.float32 if (height + 2) * (width + 2) < 2**24 else torch.float64
    # Every point outside falls on a frame of black pixels around the image, one pixel wide.
    row_BHW = row_BHW.to(exact).round().clamp_(-1, height)
    column_BHW = column_BHW.to(exact).round().clamp_(-1, width)
    flat_BHW = row_BHW.mul_(width + 2).add_(column_BHW).add_(width + 3).long()
    flat_BCP = flat_BHW.view(batch, 1, height * width).expand(-1, channels, -1)
    framed_BCQ = pad(images_BCHW, (1, 1, 1, 1)).reshape(batch, channels, (height + 2) * (width + 2))
    return framed_BCQ.gather(2, flat_BCP).view(images_BCHW.shape)


def sample_bilinear(
    images_BCHW: torch.Tensor, row_BHW: torch.Tensor, column_BHW: torch.Tensor
) -> torch.Tensor:
    """Returns for every output pixel the blend of the four pixels around its point.

    Args:
        images_BCHW: The images.
        row_BHW: The row of each point, in pixels from the center of the first pixel.
        column_BHW: The column of each point.

    Returns:
        [B,C,H,W]. What lies outside of an image is black.
    """
    height, width = images_BCHW.shape[2:]
    x_BHW = (2 * column_BHW + 1) / width - 1
    y_BHW = (2 * row_BHW + 1) / height - 1
    grid_BHW2 = torch.stack([x_BHW, y_BHW], dim=-1)
    sampled = grid_sample(
        images_BCHW.to(grid_BHW2.dtype), grid_BHW2, mode="bilinear", align_corners=False
    )
    return sampled.to(images_BCHW.dtype)
