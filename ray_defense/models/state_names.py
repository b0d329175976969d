"""The tensors of a classifier under the names that the user's own network gives them."""

from collections.abc import Mapping

import torch

from ray_defense.models.classifier import FeatureClassifier

_EXTRACTOR = "extractor."
_CLASSIFIER = "classifier."


def foreign_names(model: FeatureClassifier) -> dict[str, str]:
    """Returns what a network that has no extractor calls each tensor of a model, by our name.

    A model of which only our own form exists has our names.
    """
    names = {}
    for name in model.state_dict():
        if model.head_name is None:
            names[name] = name
        elif name.startswith(_CLASSIFIER):
            names[name] = f"{model.head_name}.{name.removeprefix(_CLASSIFIER)}"
        else:
            names[name] = name.removeprefix(_EXTRACTOR)
    return names


def renamed(
    tensors: Mapping[str, torch.Tensor], names: Mapping[str, str]
) -> dict[str, torch.Tensor]:
    """Returns tensors under other names.

    Args:
        tensors: By their present name.
        names: The new name by the present one.
    """
    return {names[name]: tensor for name, tensor in tensors.items()}
