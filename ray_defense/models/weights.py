"""A model's weights as one safetensors file: no code in it, written whole or not at all."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import write_bytes
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.protocol import Model
from ray_defense.models.seeded import build_model


def save_weights(path: Path, model: nn.Module) -> None:
    """Writes the parameters and buffers of a model, in place of a file that is there already.

    Raises:
        RunError: If a number is not finite: the training diverged.
    """
    save_tensors(path, model.state_dict())


def save_tensors(path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Writes what `state_dict` of a model returned, as `save_weights` does."""
    tensors = {}
    for name, tensor in state.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RunError(
                f"the training diverged: {name!r} of {Path(path).name} holds numbers that are not "
                "finite; lower the learning rate"
            )
        tensors[name] = tensor.detach().cpu().contiguous()
    write_bytes(Path(path), safetensors.torch.save(tensors))


def load_weights(path: Path, model: nn.Module) -> None:
    """Reads what `save_weights` wrote into a model, on whatever device that is.

    Raises:
        InputError: If the file is missing or broken, or a tensor's name, shape or type differs
            from the model's; the model is then left as it was.
    """
    if not Path(path).is_file():  # a FIFO would block for ever
        raise InputError(f"{path} is not a file: give weights written by save_weights")
    expected = model.state_dict()
    try:
        found = _read_tensors(path, expected)
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}): make it again"
        ) from None
    for name, tensor in expected.items():
        if found[name].dtype != tensor.dtype:
            difference = f"{name!r} is {found[name].dtype}, not {tensor.dtype}"
            raise InputError(f"{path} holds another model's weights: {difference}")
    model.load_state_dict(found)


def _read_tensors(path: Path, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the tensors of a file whose names and shapes are as expected.

    Shapes stand in the header, so that nothing large is read of a wrong file.
    """
    with safetensors.safe_open(path, framework="pt") as file:
        differing = sorted(expected.keys() ^ set(file.keys()))
        if differing:
            raise InputError(
                f"{path} holds another model's weights: {differing[0]!r} is in one of the two only"
            )
        for name, tensor in expected.items():
            if is_lazy(tensor):  # it takes the size of the file
                continue
            shape = file.get_slice(name).get_shape()
            if shape != list(tensor.shape):
                difference = f"{name!r} is {shape}, not {list(tensor.shape)}"
                raise InputError(f"{path} holds another model's weights: {difference}")
        return {name: file.get_tensor(name) for name in expected}


def load_model(path: Path, config: Model, num_classes: int) -> FeatureClassifier:
    """Returns the network of a configuration with the weights of a file, on the CPU.

    Raises:
        InputError: As `load_weights` does.
    """
    model = build_model(config, num_classes, seed=0)
    load_weights(path, model)
    return model


def num_classes_of(path: Path) -> int:
    """Returns how many classes the classifier of a weights file has, from its header.

    Raises:
        InputError: If the file is not a whole safetensors file of a classifier.
    """
    name = "classifier.weight"
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            if name not in file.keys():
                raise InputError(f"{path} holds no {name!r}: give the weights of a classifier")
            shape: list[int] = file.get_slice(name).get_shape()
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}): make it again"
        ) from None
    return shape[0]
