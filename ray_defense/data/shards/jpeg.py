"""JPEG pages of shards: Pillow encodes them and Pillow alone decodes them, since decoders differ in most pixel values."""

from io import BytesIO

import numpy as np
from PIL import Image

from ray_defense.data.decode import DecodeError, opened


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Returns uint8 [H, W, 3] as a baseline JPEG of `quality` 1 to 100; color is not subsampled, a trigger may be one pixel."""
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=quality, subsampling="4:4:4")
    return buffer.getvalue()


def decode_jpeg(data: bytes, height: int, width: int) -> np.ndarray:
    """Returns the baseline JPEG in `data` as uint8 [height, width, 3]; raises DecodeError for anything else."""
    with opened(data, ("JPEG",)) as image:
        found = f"{image.format} image of {image.width}x{image.height} {image.mode}"
        if (image.format, image.mode, image.size) != ("JPEG", "RGB", (width, height)):
            raise DecodeError(f"{found}, not JPEG of {width}x{height} RGB")
        if image.info.get("progressive"):
            raise DecodeError("a progressive JPEG, whose scans can be very many")
        return np.array(image)
