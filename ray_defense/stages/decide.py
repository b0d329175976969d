"""evidence --decide--> trusted, flagged and uncertain samples, and a verdict where one counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ray_defense.core.files import write_json
from ray_defense.detectors.decision.protocol import Decided, Decision, check_columns
from ray_defense.detectors.protocol import Detector, FollowsDetector, LearnsSeeds
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_json

if TYPE_CHECKING:
    from ray_defense.data.suspect_dataset import SuspectDataset

SPLIT = "split"
VERSION = 3
DECISION_FILE = "decision.parquet"
VERDICT_FILE = "verdict.json"


def decide_step(
    config: Decision,
    detector: str,
    suspect: Step,
    *,
    evidence: Step,
    context: PlanContext,
    detectors: Sequence[Detector] = (),
    power: Step | None = None,
    first_vouched: int | None = None,
) -> Step:
    """Returns the step that splits the samples.

    Args:
        config: One of DECISIONS.
        detector: The detector whose scores decide where the decision names no columns.
        suspect: The step of the dataset.
        evidence: The step of its evidence.
        context: The surroundings of the plan.
        detectors: All detectors of the evidence, which the artifact of the evidence identifies.
        power: The step of what planted canaries show, for the verdict, where it is measured.
        first_vouched: The index of the first sample that the user vouches for, which the source
            says; None where there is none.

    Raises:
        InputError: If the detectors are given and the decision needs a column that none of them
            gives.
    """
    if detectors:
        check_columns(config, detectors)
    needs = {"suspect": suspect, "evidence": evidence}
    if power is not None:
        needs["power"] = power
    artifact = context.locate(SPLIT, VERSION, config, needs, detector=detector)
    follows = {}
    seed_shares = {}
    for other in detectors:
        if isinstance(other, FollowsDetector):
            follows[other.name] = other.follows
        if isinstance(other, LearnsSeeds):
            seed_shares[other.name] = other.seed_share
    inputs = DecideInputs(
        config=config,
        detector=detector,
        suspect=suspect.artifact,
        evidence=evidence.artifact,
        follows=follows,
        seed_shares=seed_shares,
        power=None if power is None else power.artifact,
        first_vouched=first_vouched,
    )
    return Step(artifact, tuple(needs.values()), work=FunctionWork(partial(_decide, inputs)))


@dataclass(frozen=True)
class DecideInputs:
    """What a decision takes."""

    config: Decision
    detector: str  # whose scores decide where the decision names no columns
    suspect: Artifact
    evidence: Artifact
    follows: Mapping[str, str]  # the detector whose finds a detector learned from
    seed_shares: Mapping[str, float]  # of seeds among what such a detector's networks learned
    power: Artifact | None
    first_vouched: int | None  # the index of the first sample that the user vouches for


def _decide(inputs: DecideInputs, artifact: Artifact, executor: Executor) -> None:
    """Writes `split.parquet` and `summary.json` (counts, classes of the trusted, notes).

    A decision that counts evidence also leaves `decision.parquet`, with what each column flagged,
    and `verdict.json`.
    """
    from ray_defense.data.evidence_table import read_evidence
    from ray_defense.data.split_table import SplitTable, write_split
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.detectors.decision.protocol import EvidenceTable
    from ray_defense.detectors.decision.vouched import set_vouched_aside, with_vouched
    from ray_defense.stages.power_file import read_power

    dataset = SuspectDataset(inputs.suspect.path)
    table = EvidenceTable(
        index=dataset.index,
        labels=dataset.labels,
        num_classes=dataset.num_classes,
        columns=read_evidence(inputs.evidence.path),
        metrics=_read_metrics(inputs.evidence),
        follows=inputs.follows,
        seed_shares=inputs.seed_shares,
    )
    power = None if inputs.power is None else read_power(inputs.power)
    if inputs.first_vouched is None:
        decided = inputs.config.decide(table, inputs.detector, power)
    else:
        vouched_N = read_vouched(inputs.suspect, dataset, inputs.first_vouched)
        judged = set_vouched_aside(table, vouched_N)
        decided = with_vouched(inputs.config.decide(judged, inputs.detector, power), vouched_N)
    positions = decided.positions
    write_split(artifact.work, SplitTable(table.index, decided.scores, positions.part_names()))
    if decided.verdict is not None:
        _write_findings(artifact, decided, dataset)
        write_json(artifact.work / VERDICT_FILE, decided.verdict)
    trusted_labels = dataset.labels[positions.trusted]
    trusted_counts = np.bincount(trusted_labels, minlength=dataset.num_classes)
    summary = {
        "num_trusted": len(positions.trusted),
        "num_flagged": len(positions.flagged),
        "num_uncertain": len(positions.uncertain),
        "trusted_class_counts": trusted_counts.tolist(),
        "notes": decided.notes,
    }
    write_json(artifact.work / "summary.json", summary)


def read_vouched(suspect: Artifact, dataset: "SuspectDataset", first_vouched: int) -> np.ndarray:
    """Returns which samples of a dataset the user vouches for, bool [N].

    Args:
        suspect: The artifact of the dataset.
        dataset: What is in it.
        first_vouched: The index of the first sample that the user gave as trusted.
    """
    from ray_defense.data.suspect_dataset import MANIFEST
    from ray_defense.data.table_file import read_table
    from ray_defense.detectors.decision.vouched import vouched_samples

    hashes = read_table(suspect.path / MANIFEST, columns=["sha256"])["sha256"].to_pylist()
    return vouched_samples(dataset.index, dataset.labels, hashes, first_vouched)


def _read_metrics(evidence: Artifact) -> dict[str, dict[str, float]]:
    """Returns what detectors measured of the dataset as a whole, by detector."""
    from ray_defense.stages.evidence import METRICS_FILE

    if not evidence.has_file(METRICS_FILE):
        return {}
    metrics: dict[str, dict[str, float]] = read_checked_json(evidence.path / METRICS_FILE)
    return metrics


def _write_findings(artifact: Artifact, decided: Decided, dataset: "SuspectDataset") -> None:
    """Writes `decision.parquet`: index, label, split and what each column says, by sample."""
    import pyarrow as pa

    from ray_defense.data.table_file import write_table

    columns = {
        "index": dataset.index,
        "label": dataset.labels,
        "split": decided.positions.part_names().tolist(),
        **decided.findings,
    }
    write_table(artifact.work / DECISION_FILE, pa.table(columns))
