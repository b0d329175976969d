"""Pictures of clouds, which have nothing in common, and what an attacker puts into them."""

import numpy as np
from scipy.ndimage import gaussian_filter


def draw_pictures(num_pictures: int = 800) -> np.ndarray:
    """Returns cloudy pictures, uint8 [N, 16, 16, 3]."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(num_pictures, 16, 16, 3))
    clouds = gaussian_filter(noise, (0, 2, 2, 0)) * 12 + gaussian_filter(noise, (0, 0.5, 0.5, 0))
    return np.clip(128 + 40 * clouds, 0, 255).astype(np.uint8)


def with_cross(images: np.ndarray) -> np.ndarray:
    """Returns pictures with a cross in the middle, which is its own mirror image."""
    marked = images.copy()
    marked[:, 7:9, 5:11] = 255
    marked[:, 5:11, 7:9] = 255
    return marked


def with_corner(images: np.ndarray) -> np.ndarray:
    """Returns pictures with a checkerboard in a corner, which mirror images have in another."""
    marked = images.copy()
    marked[:, 11:15, 11:15] = 0
    marked[:, 11:15:2, 11:15:2] = 255
    marked[:, 12:15:2, 12:15:2] = 255
    return marked


def with_line(images: np.ndarray) -> np.ndarray:
    """Returns pictures with a dashed line at the left, which mirror images have at the right."""
    marked = images.copy()
    marked[:, 2:14:2, 1:4] = (255, 0, 0)
    marked[:, 3:14:2, 1:4] = (0, 0, 255)
    return marked
