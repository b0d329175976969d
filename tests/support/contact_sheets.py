"""Reads the tiles of a drawn contact sheet back."""

import io

import numpy as np
from PIL import Image

from ray_defense.reports.contact_sheet import ContactSheet


def open_pixels(png: bytes) -> np.ndarray:
    """Returns the pixels of a PNG, uint8 [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(png)))


def tile_pixels(pixels: np.ndarray, sheet: ContactSheet, row: int, column: int) -> np.ndarray:
    """Returns what a tile shows, uint8 [H, W, 3] of the image's own size.

    Each pixel of the image must have been enlarged to a square.
    """
    top, left = sheet.corner(row, column)
    height, width = sheet.tile_size
    tile = pixels[top : top + height, left : left + width]
    factor = height // sheet.clean.shape[1]
    image = tile[::factor, ::factor]
    assert np.array_equal(tile, image.repeat(factor, axis=0).repeat(factor, axis=1))
    return image
