"""Image folders in the layout of ImageNet, with JPEG files of mixed sizes."""

from pathlib import Path

import numpy as np

from tests.support.encoded_images import encode_image

WNIDS = ("n01440764", "n01443537", "n01484850", "n01491361")
SIZES = ((40, 30), (64, 64), (33, 90), (12, 12), (100, 20))  # width, height


def random_jpeg(seed: int, width: int, height: int) -> bytes:
    """Returns noise as JPEG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encode_image(pixels, "JPEG", quality=90)


def write_imagenet_folders(root: Path) -> Path:
    """Writes 4 classes of 5 training images and 1 validation image each; returns `root`."""
    for split, sizes in (("train", SIZES), ("val", SIZES[:1])):
        for label, name in enumerate(WNIDS):
            class_folder = root / split / name
            class_folder.mkdir(parents=True)
            for number, (width, height) in enumerate(sizes):
                data = random_jpeg(10 * label + number, width, height)
                (class_folder / f"{name}_{number}.JPEG").write_bytes(data)
    return root
