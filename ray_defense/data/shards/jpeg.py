"""JPEG pages of shards: Pillow encodes them, and Pillow alone decodes them.

Decoders differ in most pixel values, so a page that another one reads would be another image.
"""

from io import BytesIO

import numpy as np
from PIL import Image

from ray_defense.data.decode import DecodeError, open_image
from ray_defense.decoding.file_layout import read_jpeg_layout

_START_OF_SCAN = b"\xff\xda"


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Returns an image as a baseline JPEG.

    Color is not subsampled, since a trigger may be a single pixel.

    Args:
        image: uint8 [H, W, 3].
        quality: 1 to 100.
    """
    buffer = BytesIO()
    pixels = Image.fromarray(np.ascontiguousarray(image))
    pixels.save(buffer, "JPEG", quality=quality, subsampling="4:4:4")
    return buffer.getvalue()


def decode_jpeg(data: bytes, height: int, width: int) -> np.ndarray:
    """Returns the pixels of a baseline JPEG, uint8 [height, width, 3].

    Raises:
        DecodeError: If the bytes are anything else, or an image of another size.
    """
    with open_image(data, ("JPEG",)) as image:
        if (image.format, image.mode, image.size) != ("JPEG", "RGB", (width, height)):
            description = f"{image.format} image of {image.width}x{image.height} {image.mode}"
            raise DecodeError(f"{description}, not JPEG of {width}x{height} RGB")
        if image.info.get("progressive"):
            raise DecodeError("a progressive JPEG, whose scans can be very many")
        # The bytes may stand in a table as well, which takes longer to tell.
        if data.count(_START_OF_SCAN) > 1 and read_jpeg_layout(data).num_scans > 1:
            raise DecodeError("a JPEG of several scans, which can be very many")
        return np.array(image)
