"""a model file of the user --import--> the backdoored model that a defense repairs.

It takes the place of the model that we would train on everything.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ray_defense.core.config import choice
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.data.text import encodable, shortened
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.protocol import Model
from ray_defense.stages.backdoored import BACKDOORED
from ray_defense.stages.context import PlanContext
from ray_defense.stages.usefulness import least_accuracy
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_json
from ray_defense.training.normalization import NORMALIZATIONS, Normalization

if TYPE_CHECKING:
    import torch

    from ray_defense.models.classifier import FeatureClassifier

VERSION = 1
_MOST_SHOWN = 3  # differences in a message
_MOST_COMPARED = 2000  # names, to find the nearest


@dataclass(frozen=True)
class GivenModel:
    """A trained model of the user, which is repaired.

    Attributes:
        path: The file of its weights.
        sha256: Of the file; another file in its place is refused.
        class_order: The class of the dataset for each class of the model; empty where they are the
            same.
        normalization: Of the images that the model was trained on.
    """

    path: str
    sha256: str
    class_order: tuple[int, ...] = ()
    normalization: Normalization = choice(NORMALIZATIONS, default=NORMALIZATIONS["cifar10"])


def given_step(
    given: GivenModel, network: Model, suspect: Step, split: Step, context: PlanContext
) -> Step:
    """Returns the step that takes a model of the user into the store.

    It leaves `model.safetensors` under our names, and `metrics.json` with the share of labels that
    the model predicts as it is (`agreement`) and whether the file has our names, too. Its key names
    the content of the file, not its path.

    Args:
        given: The model.
        network: Its network.
        suspect: The step of the dataset.
        split: The step of its split.
        context: The surroundings of the plan.
    """
    artifact = context.locate(
        BACKDOORED,
        VERSION,
        {"model": network, "sha256": given.sha256, "class_order": given.class_order},
        {"suspect": suspect, "split": split},
        normalization=given.normalization,
    )
    function = partial(_take, given, network, suspect.artifact, split.artifact)
    return Step(artifact, needs=(suspect, split), work=FunctionWork(function))


def _take(
    given: GivenModel,
    network: Model,
    suspect: Artifact,
    split: Artifact,
    artifact: Artifact,
    executor: Executor,
) -> None:
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.models.weights import save_weights
    from ray_defense.stages.agreement import AgreementInputs, measure_agreement

    dataset = SuspectDataset(suspect.path)
    model, has_our_names = load_given(given, network, dataset.class_names)
    _check_side(model, given, dataset.image_shape[0])
    weights = artifact.work / WEIGHTS
    save_weights(weights, model)
    inputs = AgreementInputs(
        network=network,
        weights=weights,
        suspect=suspect.path,
        split=split.path,
        normalization=given.normalization,
    )
    (shares,) = executor.map(measure_agreement, [inputs])
    _check_agreement(shares, given, split)
    metrics = {"history": [], "agreement": shares, "has_our_names": has_our_names}
    write_json(artifact.work / "metrics.json", metrics)


def load_given(
    given: GivenModel, network: Model, class_names: tuple[str, ...]
) -> "tuple[FeatureClassifier, bool]":
    """Returns the network with the weights of the user's file, and whether that has our names.

    Args:
        given: The model.
        network: Its network.
        class_names: Of the dataset, in label order.

    Raises:
        InputError: If the file is not what it was, is no file of weights, or is of another network.
    """
    from ray_defense.models.seeded import build_model
    from ray_defense.stages.model_file import read_unchanged

    tensors = read_unchanged(given.path, given.sha256, "the model file")
    model = build_model(network, len(class_names), seed=0)
    matched = matched_tensors(tensors, model, given.path, class_names=class_names)
    if given.class_order:
        matched = reordered(matched, given.class_order)
    model.load_state_dict(matched)
    return model, set(tensors) == set(matched)


def matched_tensors(
    tensors: Mapping[str, "torch.Tensor"],
    model: "FeatureClassifier",
    path: str,
    *,
    class_names: tuple[str, ...],
) -> "dict[str, torch.Tensor]":
    """Returns the tensors of a file under our names, in the types of a model.

    Args:
        tensors: Of the file, under our names or under those of the user's network.
        model: Compared with them by names and shapes.
        path: The file, for messages.
        class_names: Of the dataset, in label order.

    Raises:
        InputError: Naming the nearest differences.
    """
    from ray_defense.models.state_names import foreign_names

    expected = model.state_dict()
    names = foreign_names(model)
    if set(tensors) == set(expected):
        names = {name: name for name in expected}
    ours = {theirs: name for name, theirs in names.items()}
    _check_num_classes(tensors, names["classifier.weight"], path, class_names)
    differences = _differing_names(tensors, ours)
    matched = {}
    for theirs, name in ours.items():
        if theirs not in tensors:
            continue
        tensor = tensors[theirs]
        wanted = expected[name]
        if tensor.shape != wanted.shape:
            differences.append(
                f"{theirs!r} is {shortened(list(tensor.shape), 80)} in the file and "
                f"{list(wanted.shape)} in the network"
            )
        elif tensor.is_floating_point() != wanted.is_floating_point():
            differences.append(f"{theirs!r} is {tensor.dtype} in the file and not {wanted.dtype}")
        elif tensor.is_floating_point() and not tensor.isfinite().all():
            raise InputError(
                f"{_shown(path)}: {theirs!r} holds numbers that are not finite: its training "
                "diverged; give an earlier checkpoint"
            )
        else:
            matched[name] = tensor.to(wanted.dtype)
    if differences:
        more = len(differences) - _MOST_SHOWN
        rest = f"; and {more} more" if more > 0 else ""
        raise InputError(
            f"{_shown(path)} is of another network than --architecture says: "
            f"{'; '.join(differences[:_MOST_SHOWN])}{rest}; name the network that the file is of"
        )
    return matched


def _differing_names(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Returns what is in one of a file and a network only, in words."""
    unknown = [name for name in found if name not in wanted]
    differences: list[str] = []
    for name in wanted:
        if name in found:
            continue
        hint = ""
        if len(differences) < _MOST_SHOWN:  # a hostile file may hold a million names
            nearest = difflib.get_close_matches(name, unknown[:_MOST_COMPARED], n=1)
            hint = f" (the nearest there is {_shown(nearest[0])})" if nearest else ""
        differences.append(f"{name!r} is not in the file{hint}")
    for name in unknown:
        differences.append(f"{_shown(name)} is not in the network")
    return differences


def _check_num_classes(
    tensors: Mapping[str, "torch.Tensor"], name: str, path: str, class_names: tuple[str, ...]
) -> None:
    if name not in tensors or not tensors[name].dim():
        return
    num_classes = tensors[name].shape[0]
    if num_classes != len(class_names):
        shown = shortened(", ".join(class_names), 200)
        raise InputError(
            f"the model {_shown(path)} has {num_classes} classes and the audited data has "
            f"{len(class_names)} ({shown}): give a model of exactly these classes"
        )


def reordered(
    tensors: "Mapping[str, torch.Tensor]", class_order: tuple[int, ...]
) -> "dict[str, torch.Tensor]":
    """Returns tensors in which row i of the classifier became row class_order[i]."""
    import torch

    changed = dict(tensors)
    for name, tensor in tensors.items():
        if name.startswith("classifier."):
            rows = torch.empty_like(tensor)
            rows[list(class_order)] = tensor
            changed[name] = rows
    return changed


def _check_side(model: "FeatureClassifier", given: GivenModel, side: int) -> None:
    """Raises InputError if a model cannot take images of the size of the audit."""
    import torch

    images = torch.zeros(2, 3, side, side)
    try:
        with torch.no_grad():
            model.eval()(images)
    # What layers raise on images that they cannot take.
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = shortened(str(error).split("\n")[0], 100)
        raise InputError(
            f"the model {_shown(given.path)} cannot take images of {side} x {side} pixels, the "
            f"size of this audit ({reason}): audit the data again with --size and the side that "
            "the model was trained at"
        ) from None


def _check_agreement(shares: Mapping[str, float], given: GivenModel, split: Artifact) -> None:
    """Raises InputError for a model that seems to be of other images, or to be read wrongly."""
    counts = read_checked_json(split.path / "summary.json")["trusted_class_counts"]
    needed = least_accuracy(counts)
    accuracy = shares.get("trusted")
    if accuracy is None or needed is None or accuracy >= needed:
        return
    raise InputError(
        f"the model {_shown(given.path)} predicts only {accuracy:.0%} of the labels of the trusted "
        "samples as it is, so there is nothing to repair: see that --architecture and "
        "--normalization are those of its training, that its classes have the order of the audit "
        "(--model-classes), and that the audit has about its image size (--size)"
    )


def _shown(value: Any) -> str:
    return repr(shortened(encodable(str(value)), 200))
