"""a file of pretrained weights --import--> what the probe starts from, in place of random weights.

Tensors are taken where their names and shapes fit the network of the probe. The classifier of
another number of classes stays as the seed makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.text import encodable, shortened
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.protocol import Model
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact

if TYPE_CHECKING:
    import torch

    from ray_defense.models.classifier import FeatureClassifier

PRETRAINED = "pretrained"
VERSION = 1
_CLASSIFIER = "classifier."
_NUM_SHOWN = 3


@dataclass(frozen=True)
class PretrainedWeights:
    """A file of weights that the probe starts from.

    Attributes:
        path: The file, safetensors or a state dict of `torch.save`.
        sha256: Of the file; another file in its place is refused.
    """

    path: str
    sha256: str


@dataclass(frozen=True)
class FittingTensors:
    """What of a file fits a network."""

    tensors: "Mapping[str, torch.Tensor]"  # under our names, in the types of the network
    left_out: tuple[str, ...]  # of the file, by its names; their shapes or names are others
    missing: tuple[str, ...]  # of the network, by our names; as the seed makes them

    def sentence(self) -> str:
        """Returns what is taken and what is not, for people."""
        text = f"{len(self.tensors)} tensors fit"
        if any(name.startswith(_CLASSIFIER) for name in self.missing):
            text += "; the classifier is new, since that of the file is none for these classes"
        others = [name for name in self.missing if not name.startswith(_CLASSIFIER)]
        if others:
            text += f"; {len(others)} of the network are not in the file ({_listed(others)})"
        if self.left_out:
            text += f"; left out of the file: {_listed(self.left_out)}"
        return text


def pretrained_step(
    weights: PretrainedWeights, network: Model, num_classes: int, context: PlanContext
) -> Step:
    """Returns the step that takes pretrained weights into the store.

    It leaves `model.safetensors` under our names, and `metrics.json` with what was left out. Its
    key names the content of the file, not its path.

    Args:
        weights: The file.
        network: Of the probe.
        num_classes: Of the dataset.
        context: The surroundings of the plan.
    """
    described = {"sha256": weights.sha256, "model": network, "num_classes": num_classes}
    artifact = context.locate(PRETRAINED, VERSION, described, {})
    function = partial(_take, weights, network, num_classes, context.seed)
    return Step(artifact, needs=(), work=FunctionWork(function))


def _take(
    weights: PretrainedWeights,
    network: Model,
    num_classes: int,
    seed: int,
    artifact: Artifact,
    executor: Executor,
) -> None:
    from ray_defense.models.seeded import build_model
    from ray_defense.models.weights import save_weights

    model = build_model(network, num_classes, stream(seed, PRETRAINED, "weights"))
    fitting = read_fitting(weights, model)
    model.load_state_dict(fitting.tensors, strict=False)
    save_weights(artifact.work / WEIGHTS, model)
    write_json(artifact.work / "metrics.json", {"history": [], "notes": [fitting.sentence()]})


def read_fitting(weights: PretrainedWeights, model: "FeatureClassifier") -> FittingTensors:
    """Returns what of a file fits a network.

    Raises:
        InputError: If the file is not what it was, is no file of weights, or nothing in it fits.
    """
    from ray_defense.stages.model_file import read_unchanged

    tensors = read_unchanged(weights.path, weights.sha256, "the file of weights")
    return fitting_tensors(tensors, model, weights.path)


def fitting_tensors(
    tensors: "Mapping[str, torch.Tensor]", model: "FeatureClassifier", path: str
) -> FittingTensors:
    """Returns the tensors of a file whose names and shapes are those of a network.

    Args:
        tensors: Of the file, under our names or under those of the user's network.
        model: The network.
        path: The file, for messages.

    Raises:
        InputError: If no kernel or matrix of the extractor fits, or a number is not finite.
    """
    from ray_defense.models.state_names import foreign_names

    expected = model.state_dict()
    names = foreign_names(model)
    if len(tensors.keys() & expected.keys()) > len(tensors.keys() & set(names.values())):
        names = {name: name for name in expected}
    ours = {theirs: name for name, theirs in names.items()}
    fitting = {}
    left_out = []
    for theirs, tensor in tensors.items():
        wanted = expected.get(ours.get(theirs, ""))
        if wanted is None or tensor.shape != wanted.shape:
            left_out.append(theirs)
        elif tensor.is_floating_point() != wanted.is_floating_point():
            left_out.append(theirs)
        elif tensor.is_floating_point() and not tensor.isfinite().all():
            raise InputError(
                f"{_shown(path)}: {_shown(theirs)} holds numbers that are not finite: its training "
                "diverged; give an earlier checkpoint"
            )
        else:
            fitting[ours[theirs]] = tensor.to(wanted.dtype)
    _drop_half_a_classifier(fitting, left_out, names)
    # Counters and biases are alike in networks that are not.
    if not any(fitting[name].dim() > 1 for name in fitting if not name.startswith(_CLASSIFIER)):
        kernels = [name for name in names.values() if expected[ours[name]].dim() > 1]
        raise InputError(
            f"nothing in {_shown(path)} ({_listed(list(tensors))}) fits the network of the probe "
            f"({_listed(kernels)}): name the network that the weights are of with --model, such "
            "as torchvision:resnet18"
        )
    missing = tuple(name for name in expected if name not in fitting)
    return FittingTensors(fitting, tuple(left_out), missing)


def _drop_half_a_classifier(
    fitting: "dict[str, torch.Tensor]", left_out: list[str], names: Mapping[str, str]
) -> None:
    """Leaves out a part of a classifier whose other parts do not fit."""
    parts = [name for name in names if name.startswith(_CLASSIFIER)]
    if all(name in fitting for name in parts):
        return
    for name in parts:
        if fitting.pop(name, None) is not None:
            left_out.append(names[name])


def _listed(names: "tuple[str, ...] | list[str]") -> str:
    shown = ", ".join(_shown(name) for name in names[:_NUM_SHOWN])
    return shown if len(names) <= _NUM_SHOWN else f"{shown} and {len(names) - _NUM_SHOWN} more"


def _shown(value: object) -> str:
    return repr(shortened(encodable(str(value)), 100))
