"""file --picture--> its pixels, decoded once: a key names what was blended, not where it lay."""

import hashlib
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ray_defense.attacks.blend_picture import default_picture
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import file_hash
from ray_defense.data.limits import MAX_ENCODED_BYTES
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.stages.attacker.prepared_attack import AttackAsset
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import checked_file

VERSION = 1
_PIXELS = "pixels.npy"


def picture_step(file: str | None, size: int, context: PlanContext) -> Step:
    """Returns the step that decodes a picture.

    Args:
        file: An image file; None for the picture that comes with the package.
        size: Pixels a side.
        context: The surroundings of the plan.

    Raises:
        InputError: If there is no such file, or it has too many bytes for an image.
    """
    path = default_picture() if file is None else Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"{path} is not a file: give the picture's path")
    num_bytes = path.stat().st_size
    if num_bytes > MAX_ENCODED_BYTES:
        raise InputError(
            f"{path} has {num_bytes} bytes, more than the {MAX_ENCODED_BYTES} of any image that is "
            "read: give another picture"
        )
    sha256 = file_hash(path)
    identity = {"sha256": sha256, "size": size}
    artifact = context.store.locate("picture", VERSION, identity, {})
    return Step(artifact, needs=(), work=FunctionWork(partial(_decode, path, size, sha256)))


def _decode(path: Path, size: int, sha256: str, artifact: Artifact, executor: Executor) -> None:
    from ray_defense.data.decode import DecodeError, decode_image

    with open(path, "rb") as file:
        data = file.read(MAX_ENCODED_BYTES + 1)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RunError(f"{path} changed while the run was under way: run again")
    try:
        pixels = decode_image(data, size)
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
    pixels: np.ndarray = np.load(checked_file(path / _PIXELS), allow_pickle=False)
    return pixels
