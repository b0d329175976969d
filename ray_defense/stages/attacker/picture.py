"""file --picture--> its pixels, decoded once: a key names what was blended, not where it lay."""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ray_defense.attacks.blend_picture import default_picture
from ray_defense.core.errors import InputError
from ray_defense.core.files import file_hash
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.stages.attacker.prepared_attack import AttackAsset
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact

VERSION = 1
_PIXELS = "pixels.npy"


def picture_step(file: str | None, size: int, context: PlanContext) -> Step:
    """Returns the step that decodes a picture.

    Args:
        file: An image file; None for the picture that comes with the package.
        size: Pixels a side.
        context: The surroundings of the plan.

    Raises:
        InputError: If there is no such file.
    """
    path = default_picture() if file is None else Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"{path} is not a file: give the picture's path")
    identity = {"sha256": file_hash(path), "size": size}
    artifact = context.store.locate("picture", VERSION, identity, {})
    return Step(artifact, needs=(), work=FunctionWork(partial(_decode, path, size)))


def _decode(path: Path, size: int, artifact: Artifact, executor: Executor) -> None:
    from ray_defense.data.decode import DecodeError, decode_image

    try:
        pixels = decode_image(path.read_bytes(), size)
    except DecodeError as error:
        raise InputError(f"{path}: {error}: give another picture") from None
    save_picture(artifact, pixels)


def picture_asset(artifact: Artifact) -> AttackAsset:
    """Returns the pixels uint8 [H, W, 3] of an artifact as what `stamp` is given."""
    return AttackAsset(artifact, partial(load_picture, artifact.path))


def save_picture(artifact: Artifact, pixels: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] for `load_picture`."""
    np.save(artifact.work / _PIXELS, pixels, allow_pickle=False)


@lru_cache(maxsize=4)
def load_picture(path: Path) -> np.ndarray:
    """Returns the pixels uint8 [H, W, 3] of the artifact at `path`."""
    pixels: np.ndarray = np.load(path / _PIXELS, allow_pickle=False)
    return pixels
