"""a repaired model --give back--> the same weights under the names of the user's own network."""

from dataclasses import dataclass
from functools import partial

from ray_defense.core.files import write_json
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.protocol import Model
from ray_defense.stages.context import PlanContext
from ray_defense.stages.given_model import GivenModel
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import checked_file, read_checked_json

REPAIRED = "repaired"
VERSION = 1


@dataclass(frozen=True)
class RepairedInputs:
    """A repaired model, and what it was before."""

    given: GivenModel
    network: Model
    suspect: Artifact
    split: Artifact
    backdoored: Artifact
    defended: Artifact


def repaired_step(
    given: GivenModel,
    network: Model,
    *,
    suspect: Step,
    split: Step,
    backdoored: Step,
    defended: Step,
    context: PlanContext,
) -> Step:
    """Returns the step that gives a repaired model back as the user had it.

    It leaves `model.safetensors`, a state dict of the user's network in the user's order of
    classes, and `metrics.json` with the share of labels that the model predicts before and after.

    Args:
        given: The model as the user gave it.
        network: Its network.
        suspect: The step of the dataset.
        split: The step of its split.
        backdoored: The step that took the model in.
        defended: The step of the defense that repaired it.
        context: The surroundings of the plan.
    """
    needs = {
        "suspect": suspect,
        "split": split,
        "backdoored": backdoored,
        "defended": defended,
    }
    artifact = context.locate(
        REPAIRED,
        VERSION,
        {"class_order": given.class_order},
        needs,
        normalization=given.normalization,
    )
    inputs = RepairedInputs(
        given=given,
        network=network,
        suspect=suspect.artifact,
        split=split.artifact,
        backdoored=backdoored.artifact,
        defended=defended.artifact,
    )
    work = FunctionWork(partial(_give_back, inputs))
    return Step(artifact, needs=tuple(needs.values()), work=work)


def _give_back(inputs: RepairedInputs, artifact: Artifact, executor: Executor) -> None:
    import numpy as np

    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.models.state_names import foreign_names, renamed
    from ray_defense.models.weights import load_model, save_tensors
    from ray_defense.stages.agreement import AgreementInputs, measure_agreement
    from ray_defense.stages.given_model import reordered

    weights = inputs.defended.path / WEIGHTS
    num_classes = SuspectDataset(inputs.suspect.path).num_classes
    model = load_model(checked_file(weights), inputs.network, num_classes)
    tensors = dict(model.state_dict())
    if inputs.given.class_order:
        back = tuple(np.argsort(inputs.given.class_order).tolist())
        tensors = reordered(tensors, back)
    taken = read_checked_json(inputs.backdoored.path / "metrics.json")
    if not taken["has_our_names"]:
        tensors = renamed(tensors, foreign_names(model))
    save_tensors(artifact.work / WEIGHTS, tensors)
    measured = AgreementInputs(
        network=inputs.network,
        weights=weights,
        suspect=inputs.suspect.path,
        split=inputs.split.path,
        normalization=inputs.given.normalization,
    )
    (after,) = executor.map(measure_agreement, [measured])
    metrics = {"before": taken["agreement"], "after": after}
    write_json(artifact.work / "metrics.json", metrics)
