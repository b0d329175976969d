"""A model that a user brings to an audit, to be repaired: its file, its network, its classes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ray_defense.core.errors import InputError, look_up
from ray_defense.data.text import encodable, shortened
from ray_defense.models.protocol import Model
from ray_defense.models.torchvision_network import TorchvisionNetwork
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.given_model import GivenModel
from ray_defense.training.normalization import NORMALIZATIONS, Normalization


@dataclass(frozen=True)
class UserModel:
    """A trained model of the user.

    Attributes:
        file: Its weights, safetensors or a state dict of `torch.save`.
        architecture: Its network: a registered name such as "resnet18", "torchvision:NAME", or a
            configuration of a network.
        normalization: Of the images that it was trained on, by name or as numbers; None for the
            normalization of the audit.
        classes: The names of its classes in its order; empty where that is the order of the audit.
    """

    file: str | Path
    architecture: str | Model
    normalization: str | Normalization | None = None
    classes: Sequence[str] = ()


def with_user_model(defended: Recipe, model: UserModel, class_names: Sequence[str]) -> Recipe:
    """Returns the recipe of a repair with a model of the user in place of one that we train.

    Args:
        defended: The recipe of an audit with a defense that repairs.
        model: The model.
        class_names: Of the audit, in label order.

    Raises:
        InputError: If there is nothing to repair, the file cannot be read, or a name is unknown.
    """
    from ray_defense.models.named_network import named_network
    from ray_defense.stages.model_file import hash_of_model, read_model_bytes

    _check_repairs(defended)
    assert defended.backdoored is not None
    network = model.architecture
    if isinstance(network, str):
        network = named_network(network)
    normalization = model.normalization or defended.normalization
    if isinstance(normalization, str):
        normalization = look_up(NORMALIZATIONS, "normalization", normalization)
    given = GivenModel(
        path=str(Path(model.file).expanduser().absolute()),
        sha256=hash_of_model(read_model_bytes(model.file)),
        class_order=_class_order(model.classes, class_names),
        normalization=normalization,
    )
    return replace(defended, backdoored=replace(defended.backdoored, model=network), given=given)


def check_defense(method: str, model: UserModel | None) -> None:
    """Raises InputError for what a defense would refuse after the audit before it."""
    from ray_defense.models.named_network import named_network
    from ray_defense.pipeline.audit_recipe import with_defense
    from ray_defense.pipeline.recipes.own_images import folder
    from ray_defense.stages.model_file import read_model_bytes, tensors_of

    defended = with_defense(replace(folder(), backdoored=None, defenses=()), method)
    if model is None:
        return
    _check_repairs(defended)
    if isinstance(model.architecture, str):
        named_network(model.architecture)
    tensors_of(read_model_bytes(model.file), model.file)


def _check_repairs(defended: Recipe) -> None:
    if defended.backdoored is None:
        names = ", ".join(defense.name for defense in defended.defenses)
        raise InputError(
            f"{names} trains a model from scratch, and a model was given: leave --model out, or "
            "repair it with --method d-br"
        )


def _class_order(classes: Sequence[str], class_names: Sequence[str]) -> tuple[int, ...]:
    """Returns the label in the audit of each class of the model; empty where they are equal."""
    if not classes or list(classes) == list(class_names):
        return ()
    if sorted(classes) != sorted(class_names):
        differing = sorted(set(classes) ^ set(class_names))
        named = repr(shortened(encodable(differing[0]), 80)) if differing else "a name twice"
        known = shortened(encodable(", ".join(class_names)), 200)
        raise InputError(
            f"the classes of the model are others than those of the audit, for one {named}: name "
            f"each of these once, in the order of the model: {known}"
        )
    order = [list(class_names).index(name) for name in classes]
    return tuple(order)


def load_line(network: Model, file: Path, num_classes: int) -> str:
    """Returns the line of Python that loads repaired weights into the user's own network."""
    line = f"model.load_state_dict(safetensors.torch.load_file({json.dumps(str(file))}))"
    if isinstance(network, TorchvisionNetwork):
        network_line = f"torchvision.models.{network.architecture}(num_classes={num_classes})"
        return f"model = {network_line}; {line}"
    return line
