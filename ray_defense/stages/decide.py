"""evidence --decide--> trusted, flagged and uncertain samples, with the class balance."""

from functools import partial
from typing import Any

import numpy as np

from ray_defense.core.files import write_json
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact

SPLIT = "split"
VERSION = 1


def decide_step(
    config: Any, detector: str, suspect: Step, *, evidence: Step, context: PlanContext
) -> Step:
    """Returns the step that splits the samples.

    Args:
        config: One of DECISIONS.
        detector: The detector whose scores decide.
        suspect: The step of the dataset.
        evidence: The step of its evidence.
        context: The surroundings of the plan.
    """
    needs = {"suspect": suspect, "evidence": evidence}
    artifact = context.locate(SPLIT, VERSION, config, needs, detector=detector)
    function = partial(_decide, config, detector, suspect.artifact, evidence.artifact)
    return Step(artifact, needs=(suspect, evidence), work=FunctionWork(function))


def _decide(
    config: Any,
    detector: str,
    suspect: Artifact,
    evidence: Artifact,
    artifact: Artifact,
    executor: Executor,
) -> None:
    """Writes `split.parquet` and `summary.json` (counts, classes of the trusted, notes)."""
    from ray_defense.data.split_table import SplitTable, write_split
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.detectors.decision.fractions import check_assessable, split_notes
    from ray_defense.stages.evidence import read_scores

    index, scores = read_scores(evidence.path, detector)
    check_assessable(scores)
    dataset = SuspectDataset(suspect.path)
    positions = config.split(scores)
    write_split(artifact.work, SplitTable(index, scores, positions.part_names()))
    num_classes = dataset.num_classes
    trusted_counts = np.bincount(dataset.labels[positions.trusted], minlength=num_classes)
    all_counts = np.bincount(dataset.labels, minlength=num_classes)
    summary = {
        "num_trusted": len(positions.trusted),
        "num_flagged": len(positions.flagged),
        "num_uncertain": len(positions.uncertain),
        "trusted_class_counts": trusted_counts.tolist(),
        "notes": split_notes(trusted_counts, all_counts, scores),
    }
    write_json(artifact.work / "summary.json", summary)
