"""split (and backdoored model) --defend--> a model without the backdoor."""

from dataclasses import dataclass

from ray_defense.core.errors import InputError
from ray_defense.defenses.clean_data import no_clean_share, takes_clean_share
from ray_defense.defenses.protocol import Defense, DefenseInputs
from ray_defense.execution.protocols import TrainJob, Worker
from ray_defense.execution.steps import Step, TrainingWork
from ray_defense.stages.context import PlanContext
from ray_defense.stages.decide import VERDICT_FILE
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization
from ray_defense.training.settings import SupervisedConfig


@dataclass(frozen=True)
class BackdooredModel:
    """The step of the backdoored model, and how the model is trained."""

    step: Step
    config: SupervisedConfig
    normalization: Normalization | None = None  # None: that of the plan


@dataclass(frozen=True)
class DefendInputs:
    """A defense, and what its training takes."""

    defense: Defense
    inputs: DefenseInputs


def defend_step(
    defense: Defense,
    suspect: Step,
    split: Step,
    *,
    backdoored: BackdooredModel | None,
    context: PlanContext,
    clean: Step | None = None,
) -> Step:
    """Returns the step that trains a defense.

    Args:
        defense: One of DEFENSES.
        suspect: The step of the dataset.
        split: The step of its split.
        backdoored: The model that a defense repairs; others do not depend on it.
        context: The surroundings of the plan.
        clean: The clean share of the source; defenses that do not take it do not depend on it.

    Raises:
        InputError: If the defense repairs and there is no backdoored model, or takes the clean
            share and there is none.
    """
    needs = {"suspect": suspect}
    if defense.parts_used:
        needs["split"] = split
    if takes_clean_share(defense):
        if clean is None:
            raise no_clean_share(defense)
        needs["clean"] = clean
    repaired = None
    normalization = context.normalization
    if defense.repairs:
        if backdoored is None:
            raise InputError(
                f"{defense.name} repairs the backdoored model: set backdoored, or leave the "
                f"defense out with --set {defense.name}=none"
            )
        repaired = backdoored
        needs["backdoored"] = backdoored.step
        normalization = backdoored.normalization or normalization
    artifact = context.locate(
        defense.name, defense.version, defense, needs, normalization=normalization
    )
    inputs = DefenseInputs(
        seed=context.seed,
        suspect=suspect.artifact,
        split=split.artifact if "split" in needs else None,
        backdoored=None if repaired is None else repaired.step.artifact,
        backdoored_config=None if repaired is None else repaired.config,
        normalization=normalization,
        clean=needs["clean"].artifact if "clean" in needs else None,
    )
    job = TrainJob(
        program=_train,
        artifact=artifact,
        inputs=DefendInputs(defense, inputs),
        workers=defense.workers,
        num_epochs=defense.num_epochs,
    )
    return Step(artifact, needs=tuple(needs.values()), work=TrainingWork(job))


def _train(worker: Worker, artifact: Artifact, inputs: DefendInputs) -> None:
    if inputs.inputs.split is not None:
        _check_parts(inputs.defense, inputs.inputs, inputs.inputs.split)
    inputs.defense.train(worker, artifact, inputs.inputs)


def _check_parts(defense: Defense, inputs: DefenseInputs, split: Artifact) -> None:
    """Raises InputError if a part of the split that the defense uses is empty."""
    table = inputs.split_table
    has_verdict = split.has_file(VERDICT_FILE)
    for part in defense.parts_used:
        if part == "flagged" and has_verdict:
            continue  # a decision that counts may find nothing to flag
        if not len(table.members(part)):
            raise InputError(
                f"the {part} split is empty, and {defense.name} needs it: "
                "raise the fractions of decide above 0"
            )
