"""file --picture--> its pixels, decoded once and kept, so that a key names what was blended and not where it lay."""

import time
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ray_defense.attacks.blend_picture import default_picture
from ray_defense.core.errors import Refused
from ray_defense.core.files import file_hash
from ray_defense.data.decode import DecodeError, decode_image
from ray_defense.stages.attacker.material import Material
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact

VERSION = 1


def place(file: str | None, size: int, context: Context) -> Artifact:
    """Returns where the pixels of a picture stand, by its contents; Refused where there is no such file.

    None means the picture that comes with the package.
    """
    path = _path(file)
    if not path.is_file():
        raise Refused(f"{path} is not a file: give the picture's path")
    return context.store.place("picture", VERSION, {"sha256": file_hash(path), "size": size}, {})


def make(artifact: Artifact, file: str | None, size: int, context: Context) -> None:
    """Decodes the picture to `size` x `size` pixels; raises Refused where it is no image that we accept."""
    with context.store.claim(artifact) as missing:
        if missing:
            start = time.perf_counter()
            try:
                pixels = decode_image(_path(file).read_bytes(), size)
            except DecodeError as error:
                raise Refused(f"{_path(file)}: {error}: give another picture") from None
            save(artifact, pixels)
            artifact.publish(time.perf_counter() - start)


def material(artifact: Artifact) -> Material:
    """Returns the pixels as what `stamp` is given."""
    return Material(artifact, partial(load, artifact.path))


def save(artifact: Artifact, pixels: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] for `load`."""
    np.save(artifact.work / "pixels.npy", pixels, allow_pickle=False)


@lru_cache(maxsize=4)
def load(path: Path) -> np.ndarray:
    """Returns the pixels uint8 [H, W, 3] of the artifact at `path`."""
    return np.load(path / "pixels.npy", allow_pickle=False)


def _path(file: str | None) -> Path:
    return default_picture() if file is None else Path(file).expanduser()
