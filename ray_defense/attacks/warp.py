"""A smooth warp of whole images: WaNet's field, and resampling by it (Nguyen and Tran, ICLR 2021).

A grid holds for each pixel the point (x, y) that the pixel is taken from, float64 [H, W, 2], with
-1 to 1 over each side of the image.

Shapes: N images of H x W pixels and C colors, k x k control points.
"""

import numpy as np
import torch
from torch.nn.functional import grid_sample, interpolate


def smooth_grid(control_2kk: np.ndarray, strength: float, height: int, width: int) -> torch.Tensor:
    """Returns the grid of a warp that is smooth between its control points.

    Args:
        control_2kk: How far each control point is moved along x and y, float64 [2, k, k]; the
            mean absolute value is scaled to 1.
        strength: s; control points move s / 2 pixels along each axis on average.
        height: The height of the images in pixels.
        width: The width of the images in pixels.

    Returns:
        float64 [1, H, W, 2], clipped to the image.
    """
    control_12kk = torch.from_numpy(control_2kk)[None]
    control_12kk = control_12kk / control_12kk.abs().mean()
    size = (height, width)
    field_12HW = interpolate(control_12kk, size=size, mode="bicubic", align_corners=True)
    field_1HW2 = field_12HW.permute(0, 2, 3, 1)
    x_W = torch.linspace(-1, 1, width, dtype=torch.float64)
    y_H = torch.linspace(-1, 1, height, dtype=torch.float64)
    upright_HW2 = torch.stack(torch.meshgrid(x_W, y_H, indexing="xy"), dim=-1)
    grid_1HW2 = upright_HW2 + strength * field_1HW2 / _sides(height, width)
    return grid_1HW2.clamp(-1, 1)


def noisy_grid(grid_1HW2: torch.Tensor, noise_NHW2: np.ndarray) -> torch.Tensor:
    """Returns a grid for each image, with noise added.

    Args:
        grid_1HW2: The grid that the images share.
        noise_NHW2: Noise in [-1, 1), float64; 1 is half a pixel.

    Returns:
        float64 [N, H, W, 2], clipped to the image.
    """
    height, width = noise_NHW2.shape[1:3]
    grid_NHW2 = grid_1HW2 + torch.from_numpy(noise_NHW2) / _sides(height, width)
    return grid_NHW2.clamp(-1, 1)


def warp_images(images_NHWC: np.ndarray, grid_NHW2: torch.Tensor) -> np.ndarray:
    """Returns images with each pixel taken, by bilinear blending, from its point in the grid.

    Args:
        images_NHWC: The images, uint8 [N, H, W, 3].
        grid_NHW2: One grid for each image, or one for all of them.

    Returns:
        float64 [N, H, W, 3]; the images are black outside their edges.
    """
    images = torch.from_numpy(images_NHWC.astype(np.float64, order="C"))
    warped_NCHW = grid_sample(
        images.permute(0, 3, 1, 2),
        grid_NHW2.expand(len(images), -1, -1, -1),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=True,
    )
    warped: np.ndarray = warped_NCHW.permute(0, 2, 3, 1).numpy()
    return warped


def _sides(height: int, width: int) -> torch.Tensor:
    return torch.tensor([width, height], dtype=torch.float64)
