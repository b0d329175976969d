"""Splits of a dataset by given scores."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.detectors.decision.fractions import Fractions
from ray_defense.execution.steps import Step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.decide import decide_step
from ray_defense.store.artifacts import Artifact
from tests.support.steps import make_step, publish_step


def split_by_given_scores(
    context: PlanContext, suspect: Step, index: np.ndarray, scores: np.ndarray
) -> Artifact:
    """Returns the split of a dataset whose evidence holds the given scores.

    Args:
        context: Its store is the place of evidence and split.
        suspect: The step of the dataset, finished.
        index: The indices of its samples, int64 [N].
        scores: Their scores, [N].
    """

    def fill(directory: Path) -> None:
        table = pa.table({"index": index, "fct": scores.astype(np.float64)})
        pq.write_table(table, directory / "evidence.parquet")

    evidence = publish_step(context, "evidence", fill)
    step = decide_step(Fractions(), "fct", suspect, evidence=evidence, context=context)
    return make_step(step, context)
