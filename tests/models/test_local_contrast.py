"""Local contrast: parity with SciPy's filters, and what it does not see."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from ray_defense.models.local_contrast import LocalContrast


def by_scipy(images_BCHW: np.ndarray) -> np.ndarray:
    rows = []
    for image_CHW in images_BCHW.astype(np.float64):
        detail = np.empty_like(image_CHW)
        for channel, plane in enumerate(image_CHW):
            detail[channel] = plane - gaussian_filter(plane, 1.0, mode="nearest", truncate=4.0)
        power = (detail**2).mean(0)
        contrast = np.sqrt(gaussian_filter(power, 2.0, mode="nearest", truncate=4.0))
        rows.append((detail / (contrast + 0.1)).clip(-2, 2).ravel())
    return np.stack(rows)


def draw(count: int = 3, height: int = 12, width: int = 20) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_it_is_the_detail_over_its_local_deviation() -> None:
    images = draw()
    found = LocalContrast()(images).numpy()
    assert found.shape == (3, 3 * 12 * 20)
    assert np.allclose(found, by_scipy(images.numpy()), atol=1e-4)


def test_a_brighter_image_is_the_same_and_a_plain_one_is_empty() -> None:
    contrast = LocalContrast()
    images = draw()
    assert torch.allclose(contrast(images + 3), contrast(images), atol=1e-4)
    assert torch.allclose(contrast(torch.full((1, 3, 8, 8), 2.0)), torch.zeros(1, 192), atol=1e-5)


def test_autocast_does_not_round_it() -> None:
    images = draw()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = LocalContrast()(images)
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, LocalContrast()(images))
