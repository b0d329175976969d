"""From uniform draws in [0, 1) to the parameters of a transform."""

import torch


def to_interval(draws: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Returns the draws scaled to [low, high)."""
    return low + (high - low) * draws


def to_integers(draws: torch.Tensor, count: int | torch.Tensor) -> torch.Tensor:
    """Returns int64 numbers from 0 to count - 1, each equally likely.

    Args:
        draws: Uniform draws in [0, 1], of any shape.
        count: The number of values, either one for all draws or one for each draw.
    """
    # A float64 draw just below 1 becomes 1 in float32.
    return (draws * count).long().clamp(max=count - 1)


def per_image(values_B: torch.Tensor) -> torch.Tensor:
    """Returns [B,1,1,1]: one value for each image, which broadcasts against [B,C,H,W]."""
    return values_B[:, None, None, None]
