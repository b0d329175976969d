"""A model's weights as one safetensors file: no code in it, written whole or not at all."""

from pathlib import Path

import safetensors
import safetensors.torch
from torch import nn

from ray_defense.core.errors import Refused
from ray_defense.core.files import write_bytes


def save_weights(path: Path, model: nn.Module) -> None:
    """Writes parameters and buffers of `model` to `path`, in place of a file already there."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(Path(path), safetensors.torch.save(tensors))


def load_weights(path: Path, model: nn.Module) -> None:
    """Reads what `save_weights` wrote into `model`, on whatever device that is.

    Raises Refused, the model untouched, when the file is missing or broken, or when a tensor's name, shape or type
    differs from the model's.
    """
    if not Path(path).is_file():  # a FIFO would block for ever
        raise Refused(f"{path} is not a file: give weights written by save_weights")
    wanted = model.state_dict()
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            difference = sorted(wanted.keys() ^ set(file.keys()))
            if difference:
                raise Refused(f"{path} holds another model's weights: {difference[0]!r} is in one of the two only")
            for name, tensor in wanted.items():  # shapes stand in the header: nothing large is read for a wrong file
                shape, wanted_shape = file.get_slice(name).get_shape(), list(tensor.shape)
                if shape != wanted_shape:
                    raise Refused(f"{path} holds another model's weights: {name!r} is {shape}, not {wanted_shape}")
            found = {name: file.get_tensor(name) for name in wanted}
    except safetensors.SafetensorError as error:
        raise Refused(f"{path} is not a whole safetensors file ({error}): make it again") from None
    for name, tensor in wanted.items():
        if found[name].dtype != tensor.dtype:
            raise Refused(f"{path} holds another model's weights: {name!r} is {found[name].dtype}, not {tensor.dtype}")
    model.load_state_dict(found)
