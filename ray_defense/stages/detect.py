"""probe --detect--> evidence: one score a sample and detector, computed block by block (Eq. 1).

Any number of processes gives the same bits.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from ray_defense.core.checks import check_at_least, check_distinct
from ray_defense.core.config import choice
from ray_defense.core.errors import InputError
from ray_defense.detectors import DETECTORS
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.protocol import Detector
from ray_defense.execution.protocols import Backend, BlockJob, Executor
from ray_defense.execution.steps import Step
from ray_defense.models.protocol import Model
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization

if TYPE_CHECKING:
    import torch

    from ray_defense.stages.evidence import BlockScorer

EVIDENCE = "evidence"
VERSION = 1


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
        check_at_least("detect.batch_size", self.batch_size, 1)
        check_at_least("detect.block_size", self.block_size, self.batch_size)
        check_at_least("detect.cpus_per_actor", self.cpus_per_actor, 1)
        if self.block_size % self.batch_size:
            raise InputError(
                f"detect.block_size {self.block_size} must be a multiple of "
                f"detect.batch_size {self.batch_size}"
            )


@dataclass(frozen=True)
class EvidenceInputs:
    """What scoring with one probe takes; several artifacts may be made in one pass."""

    configs: tuple[DetectConfig, ...]  # of the artifacts; equal but for their detectors
    artifacts: tuple[Artifact, ...]
    seed: int
    suspect: Artifact
    probe: Artifact
    model: Model  # of the probe
    normalization: Normalization


def detect_step(
    config: DetectConfig, suspect: Step, probe: Step, *, model: Model, context: PlanContext
) -> Step:
    """Returns the step that scores every sample with the probe.

    Args:
        config: How samples are scored.
        suspect: The step of the dataset.
        probe: The step of the probe.
        model: The configuration of the probe's network.
        context: The surroundings of the plan.
    """
    needs = {"suspect": suspect, "probe": probe}
    artifact = context.locate(EVIDENCE, VERSION, config, needs, normalization=context.normalization)
    inputs = EvidenceInputs(
        configs=(config,),
        artifacts=(artifact,),
        seed=context.seed,
        suspect=suspect.artifact,
        probe=probe.artifact,
        model=model,
        normalization=context.normalization,
    )
    return Step(artifact, needs=(suspect, probe), work=ScoringWork(inputs))


@dataclass(frozen=True)
class ScoringWork:
    """Scores of one probe; ready ones that cut the data alike share a pass over it."""

    inputs: EvidenceInputs
    shares_pass: bool = True

    @property
    def bundle(self) -> Hashable:
        """The probe, and how the data are cut."""
        config = self.inputs.configs[0]
        probe_key = self.inputs.probe.key
        return (probe_key, config.batch_size, config.block_size, config.cpus_per_actor)

    def make(self, steps: Sequence[Step], executor: Executor) -> None:
        """Scores the dataset once for all steps: `evidence.parquet` of each."""
        from ray_defense.data.suspect_dataset import SuspectDataset
        from ray_defense.detectors.feature_scorer import cut_into_blocks, scoring_patience_s
        from ray_defense.stages.evidence import block_parts, join_blocks

        start = time.perf_counter()
        works = [cast(ScoringWork, step.work) for step in steps]
        configs = tuple(work.inputs.configs[0] for work in works)
        artifacts = tuple(step.artifact for step in steps)
        inputs = replace(self.inputs, configs=configs, artifacts=artifacts)
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
            patience_s=scoring_patience_s(configs[0].block_size, all_detectors),
        )
        executor.run_blocks(job)
        for config, artifact in zip(configs, artifacts, strict=True):
            join_blocks(artifact, config, blocks, dataset)
            artifact.publish((time.perf_counter() - start) / len(steps))


def _open_scorer(inputs: EvidenceInputs, device: "torch.device", backend: Backend) -> "BlockScorer":
    from ray_defense.stages.evidence import BlockScorer

    return BlockScorer(inputs, device, backend)
