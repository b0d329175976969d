"""suspect dataset --detect--> evidence: what detectors read off each sample, block by block.

All detectors read the images in one pass, but for those that learn from the finds of others. Any
number of processes gives the same bits.
"""

import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from ray_defense.core.checks import check_at_least, check_distinct
from ray_defense.core.config import choice
from ray_defense.core.errors import InputError
from ray_defense.detectors import DETECTORS
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.protocol import Detector, FollowsDetector
from ray_defense.detectors.required_models import Probe, RequiredModel
from ray_defense.detectors.trained_weights import TrainedWeights
from ray_defense.execution.protocols import Backend, BlockJob, Executor
from ray_defense.execution.steps import Step
from ray_defense.models.protocol import Model
from ray_defense.stages.context import PlanContext
from ray_defense.stages.detector_models import (
    PlannedModel,
    RecipeModels,
    given_model,
    plan_models,
)
from ray_defense.stages.probe import PROBE
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization

if TYPE_CHECKING:
    import torch

    from ray_defense.stages.evidence import BlockScorer

EVIDENCE = "evidence"
VERSION = 2


@dataclass(frozen=True)
class DetectConfig:
    """How samples are scored."""

    detectors: tuple[Detector, ...] = choice(DETECTORS, default=(Fct(),))
    batch_size: int = 250
    block_size: int = 1000  # rows that one process scores at a time: a multiple of the batch size
    cpus_per_actor: int = 1  # threads of torch in each process

    def __post_init__(self) -> None:
        if not self.detectors:
            raise InputError(f"detect.detectors is empty: name one of {', '.join(DETECTORS)}")
        check_distinct("detect.detectors", [detector.name for detector in self.detectors])
        columns: list[str] = []
        for detector in self.detectors:
            columns.extend(detector.columns)
        check_distinct("the columns of detect.detectors", columns)
        _check_order(self.detectors)
        check_at_least("detect.batch_size", self.batch_size, 1)
        check_at_least("detect.block_size", self.block_size, self.batch_size)
        check_at_least("detect.cpus_per_actor", self.cpus_per_actor, 1)
        if self.block_size % self.batch_size:
            raise InputError(
                f"detect.block_size {self.block_size} must be a multiple of "
                f"detect.batch_size {self.batch_size}"
            )


def _check_order(detectors: Sequence[Detector]) -> None:
    """Raises InputError for a detector that follows one that is not before it."""
    before: list[str] = []
    for detector in detectors:
        if isinstance(detector, FollowsDetector) and detector.follows not in before:
            raise InputError(
                f"{detector.name} learns from the finds of {detector.follows}: name "
                f"{detector.follows} before it in detect.detectors"
            )
        before.append(detector.name)


@dataclass(frozen=True)
class PlannedDetection:
    """The steps of all detectors, and the evidence of all of them."""

    steps: Mapping[str, Step]  # by stage, in the order of the path; the models among them
    evidence: Step


def plan_detection(
    config: DetectConfig, suspect: Step, shared: RecipeModels, context: PlanContext
) -> PlannedDetection:
    """Returns the steps that score every sample.

    Detectors read the images together. One that follows another has networks that learn from the
    evidence so far, and reads the images afterwards; its evidence holds all columns so far.

    Args:
        config: How samples are scored.
        suspect: The step of the dataset.
        shared: The models of the recipe that detectors may need.
        context: The surroundings of the plan.

    Raises:
        InputError: For a detector that needs the backdoored model of a recipe without one.
    """
    leading: list[Detector] = []
    following: list[FollowsDetector] = []
    for detector in config.detectors:
        if isinstance(detector, FollowsDetector):
            following.append(detector)
        else:
            leading.append(detector)
    steps: dict[str, Step] = {}
    models = plan_models(_models_of(leading), suspect, shared, context=context)
    for model in models.values():
        steps.update(model.steps)
    of_leading = replace(config, detectors=tuple(leading))
    evidence = evidence_step(of_leading, suspect, models, context=context)
    steps[EVIDENCE] = evidence
    for follower in following:
        for number in range(1, follower.rounds + 1):
            detector = follower.in_round(number)
            models = plan_models(
                detector.models, suspect, shared, context=context, evidence=evidence
            )
            for model in models.values():
                steps.update(model.steps)
            of_round = replace(config, detectors=(detector,))
            stage = f"{detector.name}_{number}"
            evidence = evidence_step(
                of_round, suspect, models, context=context, stage=stage, former=evidence
            )
            steps[stage] = evidence
    return PlannedDetection(steps, evidence)


def _models_of(detectors: Iterable[Detector]) -> list[RequiredModel]:
    models: list[RequiredModel] = []
    for detector in detectors:
        models.extend(detector.models)
    return models


@dataclass(frozen=True)
class EvidenceInputs:
    """What scoring through some models takes; several artifacts may be made in one pass."""

    configs: tuple[DetectConfig, ...]  # of the artifacts; equal but for their detectors
    artifacts: tuple[Artifact, ...]
    seed: int
    suspect: Artifact
    models: Mapping[RequiredModel, TrainedWeights]
    normalization: Normalization
    former: Artifact | None = None  # evidence whose columns come before the new ones


def detect_step(
    config: DetectConfig, suspect: Step, probe: Step, *, model: Model, context: PlanContext
) -> Step:
    """Returns the step that scores every sample with a given probe, and with no other model.

    Args:
        config: How samples are scored.
        suspect: The step of the dataset.
        probe: The step of the probe.
        model: The configuration of the probe's network.
        context: The surroundings of the plan.
    """
    models: dict[RequiredModel, PlannedModel] = {Probe(): given_model(PROBE, probe, model)}
    return evidence_step(config, suspect, models, context=context)


def evidence_step(
    config: DetectConfig,
    suspect: Step,
    models: Mapping[RequiredModel, PlannedModel],
    *,
    context: PlanContext,
    stage: str = EVIDENCE,
    former: Step | None = None,
) -> Step:
    """Returns the step that reads every sample by some detectors, in one pass.

    Args:
        config: The detectors, and how the data are cut.
        suspect: The step of the dataset.
        models: The models that the detectors need.
        context: The surroundings of the plan.
        stage: The name of the stage.
        former: The step of evidence whose columns come before the new ones.
    """
    needs = {"suspect": suspect}
    weights = {}
    for required, model in models.items():
        needs.update(model.steps)
        weights[required] = model.weights
    if former is not None:
        needs[EVIDENCE] = former
    artifact = context.locate(stage, VERSION, config, needs, normalization=context.normalization)
    inputs = EvidenceInputs(
        configs=(config,),
        artifacts=(artifact,),
        seed=context.seed,
        suspect=suspect.artifact,
        models=weights,
        normalization=context.normalization,
        former=None if former is None else former.artifact,
    )
    model_keys = sorted(step.key for step in needs.values())
    return Step(artifact, needs=tuple(needs.values()), work=ScoringWork(inputs, tuple(model_keys)))


@dataclass(frozen=True)
class ScoringWork:
    """Evidence of some models; ready ones that cut the data alike share a pass over it."""

    inputs: EvidenceInputs
    needed_keys: tuple[str, ...]  # of the dataset, the models and the former evidence
    shares_pass: bool = True

    @property
    def bundle(self) -> Hashable:
        """The models, and how the data are cut."""
        config = self.inputs.configs[0]
        cut = (config.batch_size, config.block_size, config.cpus_per_actor)
        return (self.needed_keys, self.inputs.seed, self.inputs.normalization, cut)

    @property
    def num_draws(self) -> int:
        """How many transformed views of each image are read."""
        return sum(detector.draws for detector in self.inputs.configs[0].detectors)

    def make(self, steps: Sequence[Step], executor: Executor) -> None:
        """Reads the dataset once for all steps: `evidence.parquet` of each."""
        from ray_defense.data.suspect_dataset import SuspectDataset
        from ray_defense.detectors.feature_scorer import cut_into_blocks, scoring_patience_s
        from ray_defense.stages.evidence import block_parts, join_blocks

        start = time.perf_counter()
        inputs = self._inputs_of_all(steps)
        configs = inputs.configs
        dataset = SuspectDataset(inputs.suspect.path)
        blocks = cut_into_blocks(dataset, configs[0].block_size)
        all_detectors: list[Detector] = []
        for config in configs:
            all_detectors.extend(config.detectors)
        job = BlockJob(
            task=EVIDENCE,
            open=_open_scorer,
            inputs=inputs,
            blocks=blocks,
            parts=block_parts,
            cpus_per_actor=configs[0].cpus_per_actor,
            patience_s=scoring_patience_s(configs[0].block_size, all_detectors, len(inputs.models)),
        )
        executor.run_blocks(job)
        for config, artifact in zip(configs, inputs.artifacts, strict=True):
            join_blocks(artifact, config, blocks, dataset=dataset, former=inputs.former)
            artifact.publish((time.perf_counter() - start) / len(steps))

    def _inputs_of_all(self, steps: Sequence[Step]) -> EvidenceInputs:
        """Returns the inputs of one pass for the artifacts of several steps."""
        works = [cast(ScoringWork, step.work) for step in steps]
        models: dict[RequiredModel, TrainedWeights] = {}
        for work in works:
            models.update(work.inputs.models)
        return replace(
            self.inputs,
            configs=tuple(work.inputs.configs[0] for work in works),
            artifacts=tuple(step.artifact for step in steps),
            models=models,
        )


def _open_scorer(inputs: EvidenceInputs, device: "torch.device", backend: Backend) -> "BlockScorer":
    from ray_defense.stages.evidence import BlockScorer

    return BlockScorer(inputs, device, backend)
