"""The evidence table: a column of scores for each detector, written by blocks, then joined."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ray_defense.core.errors import RunError
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.data.table_file import write_table
from ray_defense.detectors.feature_scorer import Block, FeatureScorer, ScorerInputs
from ray_defense.detectors.protocol import Detector
from ray_defense.execution.protocols import Backend
from ray_defense.models.file_names import WEIGHTS
from ray_defense.store.artifacts import Artifact

if TYPE_CHECKING:
    from ray_defense.stages.detect import DetectConfig, EvidenceInputs

EVIDENCE_FILE = "evidence.parquet"


class BlockScorer:
    """Scores blocks with the probe; it lives as long as its process, so all is opened once."""

    def __init__(self, inputs: "EvidenceInputs", device: torch.device, backend: Backend):
        self.inputs = inputs
        detectors: list[Detector] = []
        for config in inputs.configs:
            detectors.extend(config.detectors)
        scorer_inputs = ScorerInputs(
            seed=inputs.seed,
            suspect=inputs.suspect.path,
            model=inputs.model,
            weights=(inputs.probe.path / WEIGHTS,),
            normalization=inputs.normalization,
            detectors=tuple(detectors),
            batch_size=inputs.configs[0].batch_size,
        )
        self.scorer = FeatureScorer(scorer_inputs, device, backend)

    def __call__(self, block: Block) -> None:
        """Writes the evidence of a block for every artifact, each part whole or not at all."""
        index = []
        scores = []  # of each batch, by detector
        for batch, (outputs,) in self.scorer.outputs_of_block(block):
            index.append(batch.index.numpy())
            scores.append(outputs.scores)
        position = 0
        for config, artifact in zip(self.inputs.configs, self.inputs.artifacts, strict=True):
            columns = {"index": np.concatenate(index)}
            for detector in config.detectors:
                of_detector = [of_batch[position] for of_batch in scores]
                columns[detector.name] = np.concatenate(of_detector)
                position += 1
            write_table(block_part(artifact, block), pa.table(columns))


def block_parts(inputs: "EvidenceInputs", block: Block) -> list[Path]:
    """Returns where the scores of a block stand for every artifact."""
    return [block_part(artifact, block) for artifact in inputs.artifacts]


def block_part(artifact: Artifact, block: Block) -> Path:
    """Returns where the scores of a block stand for one artifact."""
    return artifact.scratch / f"block-{block.number:06d}.parquet"


def join_blocks(
    artifact: Artifact, config: "DetectConfig", blocks: Sequence[Block], dataset: SuspectDataset
) -> None:
    """Joins the parts of all blocks into `evidence.parquet`, by ascending index.

    Raises:
        RunError: If a score is missing, doubled, or not finite: it would sort as most suspicious.
    """
    parts = [pq.read_table(block_part(artifact, block)) for block in blocks]
    table = pa.concat_tables(parts).sort_by("index")
    if not np.array_equal(table["index"].to_numpy(), dataset.index):
        raise RunError(
            f"{table.num_rows} scores for {dataset.num_samples} samples: "
            f"remove {artifact.work} and run again"
        )
    for detector in config.detectors:
        num_bad = int((~np.isfinite(table[detector.name].to_numpy())).sum())
        if num_bad:
            raise RunError(
                f"{num_bad} scores are not finite: the probe diverged; "
                "lower probe.sgd.learning_rate"
            )
    write_table(artifact.work / EVIDENCE_FILE, table)


def read_scores(directory: Path, detector: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices, int64 [N], and a detector's scores, float64 [N], of some evidence."""
    table = pq.read_table(directory / EVIDENCE_FILE, columns=["index", detector])
    return table["index"].to_numpy(), table[detector].to_numpy()
