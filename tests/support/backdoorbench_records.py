"""Records as BackdoorBench leaves them: poisoned images alone, under their labels before."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tests.support.encoded_images import encode_image


def write_record(
    root: Path, images: Mapping[int, np.ndarray], labels_before: Mapping[int, int]
) -> Path:
    """Writes the poisoned images by their positions, and what lies beside them; returns `root`."""
    for position, image in images.items():
        folder = root / "bd_train_dataset" / str(labels_before[position])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{position}.png").write_bytes(encode_image(image))
    (root / "bd_test_dataset" / "0").mkdir(parents=True, exist_ok=True)
    (root / "attack_result.pt").write_bytes(b"PK\3\4")
    (root / "info.pickle").write_bytes(b"\x80\4N.")
    (root / "attack_df.csv").write_text("epoch\n")
    return root
