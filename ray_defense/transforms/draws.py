"""From uniform draws in [0, 1) to a transform's parameters."""

import torch


def between(draws: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Returns draws moved to [low, high)."""
    return low + (high - low) * draws


def whole(draws: torch.Tensor, count: int | torch.Tensor) -> torch.Tensor:
    """Returns int64 in range(count), each equally likely; `count` is one number or one a draw."""
    # A float64 draw just below 1 becomes 1 in float32.
    return (draws * count).long().clamp(max=count - 1)


def per_image(values_B: torch.Tensor) -> torch.Tensor:
    """Returns [B,1,1,1]: one value an image, ready to meet [B,C,H,W]."""
    return values_B[:, None, None, None]
