"""The newest checkpoint of a training job, in its scratch directory, whole or not at all."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ray_defense.core.errors import DamageError
from ray_defense.core.sealed import SEALED_SUFFIX, read_sealed, write_sealed

CHECKPOINT = f"checkpoint{SEALED_SUFFIX}"


def save_checkpoint(directory: Path, state: Mapping[str, Any]) -> None:
    """Writes `state` (tensors and plain data) in place of the checkpoint before."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_sealed(directory / CHECKPOINT, buffer.getvalue())


def load_checkpoint(directory: Path, device: torch.device) -> dict[str, Any] | None:
    """Returns the newest checkpoint with its tensors on `device`, or None.

    Raises:
        DamageError: If it is not what was written.
    """
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    content = io.BytesIO(read_sealed(path))
    try:
        state: dict[str, Any] = torch.load(content, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError):
        # Whoever can seal a file can put code into it, which is not run.
        raise DamageError.of(path, "holds more than tensors, or is no checkpoint", path) from None
    return state


def checkpoint_bytes(directory: Path) -> int | None:
    """Returns the size of the newest checkpoint, or None if there is no checkpoint."""
    path = directory / CHECKPOINT
    return path.stat().st_size if path.is_file() else None
