"""suspect dataset --> the models that detectors need: shared ones of the recipe, and their own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ray_defense.core.errors import InputError
from ray_defense.detectors.folds import fold_key
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.detectors.required_models import (
    Backdoored,
    NetworkInputs,
    Probe,
    RequiredModel,
    SmallNetworks,
)
from ray_defense.detectors.trained_weights import TrainedWeights
from ray_defense.execution.protocols import TrainJob
from ray_defense.execution.steps import SmallTrainingWork, Step
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.protocol import Model
from ray_defense.stages.context import PlanContext
from ray_defense.stages.defend import BackdooredModel
from ray_defense.stages.probe import PROBE, probe_step

CROSS_ENTROPY_PROBE = "probe_cross_entropy"


@dataclass(frozen=True)
class PlannedModel:
    """A model that detectors need: the steps that train it, and where its weights will stand."""

    steps: Mapping[str, Step]  # by their role for the evidence
    weights: TrainedWeights


@dataclass(frozen=True)
class RecipeModels:
    """The models of a recipe that detectors may share."""

    probe: ProbeConfig
    backdoored: BackdooredModel | None
    pretrained: Step | None = None  # of the weights that the probe starts from


def given_model(role: str, step: Step, network: Model) -> PlannedModel:
    """Returns a model of one network that some step trains."""
    weights = TrainedWeights((step.artifact.path / WEIGHTS,), network)
    return PlannedModel({role: step}, weights)


def plan_models(
    required: Iterable[RequiredModel],
    suspect: Step,
    shared: RecipeModels,
    *,
    context: PlanContext,
    evidence: Step | None = None,
) -> dict[RequiredModel, PlannedModel]:
    """Returns the models that some detectors need.

    Args:
        required: What they name; a model that two name is planned once.
        suspect: The step of the dataset.
        shared: The models of the recipe.
        context: The surroundings of the plan.
        evidence: The step of the evidence that the detectors learn from, where they do.

    Raises:
        InputError: For a detector that needs the backdoored model of a recipe without one.
    """
    planned: dict[RequiredModel, PlannedModel] = {}
    for model in required:
        if model in planned:
            continue
        if isinstance(model, Probe):
            planned[model] = _plan_probe(model, suspect, shared, context)
        elif isinstance(model, Backdoored):
            planned[model] = _backdoored_model(shared.backdoored)
        else:
            planned[model] = _plan_networks(
                model, suspect, shared, context=context, evidence=evidence
            )
    return planned


def _plan_probe(
    required: Probe, suspect: Step, shared: RecipeModels, context: PlanContext
) -> PlannedModel:
    role = PROBE
    config = shared.probe
    if not required.intra and config.intra_epochs:
        role = CROSS_ENTROPY_PROBE
        config = replace(config, intra_epochs=0, keep_epochs=False)
    step = probe_step(config, suspect, context, shared.pretrained)
    return given_model(role, step, config.model)


def _backdoored_model(backdoored: BackdooredModel | None) -> PlannedModel:
    if backdoored is None:
        raise InputError(
            "a detector of detect.detectors reads the backdoored model, and the recipe has none: "
            "set backdoored, or leave the detector out"
        )
    step = backdoored.step
    return given_model(step.artifact.stage, step, backdoored.config.model)


def _plan_networks(
    networks: SmallNetworks,
    suspect: Step,
    shared: RecipeModels,
    *,
    context: PlanContext,
    evidence: Step | None,
) -> PlannedModel:
    """Returns the steps of some small networks, one for each fold."""
    needs = {"suspect": suspect}
    if evidence is not None:
        needs["evidence"] = evidence
    network = networks.network
    start: TrainedWeights | None = None
    if network is None:
        backdoored = _backdoored_model(shared.backdoored)
        needs.update(backdoored.steps)
        start = backdoored.weights
        network = start.network
    steps: dict[str, Step] = {}
    files = []
    for fold in range(networks.num_folds):
        stage = f"{networks.name}_fold_{fold}"
        artifact = context.locate(
            stage,
            networks.version,
            networks.training,
            needs,
            normalization=context.normalization,
            network=network,
            num_folds=networks.num_folds,
            num_classes=networks.num_classes,
        )
        inputs = NetworkInputs(
            networks=networks,
            fold=fold,
            seed=context.seed,
            suspect=suspect.artifact,
            normalization=context.normalization,
            evidence=None if evidence is None else evidence.artifact,
            start=start,
        )
        job = TrainJob(
            program=networks.program,
            artifact=artifact,
            inputs=inputs,
            workers=networks.training.workers,
            num_epochs=networks.training.num_epochs,
        )
        steps[stage] = Step(artifact, needs=tuple(needs.values()), work=SmallTrainingWork(job))
        files.append(artifact.path / WEIGHTS)
    key = fold_key(context.seed, networks.name) if networks.num_folds > 1 else None
    weights = TrainedWeights(
        files=tuple(files),
        network=network,
        num_classes=networks.num_classes,
        fold_key=key,
    )
    return PlannedModel(steps, weights)
