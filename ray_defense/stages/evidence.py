"""The evidence table: the columns of all detectors, written by blocks, then joined.

Shapes: N samples, B of a block, D numbers a sample.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from ray_defense.core.errors import RunError
from ray_defense.core.files import write_json
from ray_defense.core.sealed import SEALED_SUFFIX
from ray_defense.data.evidence_table import EVIDENCE_FILE, read_evidence
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.data.table_file import (
    read_sealed_table,
    write_sealed_table,
    write_table,
)
from ray_defense.detectors.feature_scorer import Block, FeatureScorer, ScorerInputs
from ray_defense.detectors.gathered import Gathered
from ray_defense.detectors.protocol import Columns, Detector, FinishesColumns
from ray_defense.detectors.required_models import Probe
from ray_defense.execution.protocols import Backend
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_json

if TYPE_CHECKING:
    from ray_defense.stages.detect import DetectConfig, EvidenceInputs

METRICS_FILE = "metrics.json"  # where a detector measures the dataset as a whole


class BlockScorer:
    """Reads blocks by all detectors; it lives as long as its process, so all is opened once."""

    def __init__(self, inputs: "EvidenceInputs", device: torch.device, backend: Backend):
        self.inputs = inputs
        scorer_inputs = ScorerInputs(
            seed=inputs.seed,
            suspect=inputs.suspect.path,
            models=inputs.models,
            normalization=inputs.normalization,
            batch_size=inputs.configs[0].batch_size,
        )
        self.scorer = FeatureScorer(scorer_inputs, device, backend)

    def __call__(self, block: Block) -> None:
        """Writes what is read off a block for every artifact, each part whole or not at all."""
        batches: list[list[Columns]] = [[] for _ in self.inputs.configs]
        for batch in self.scorer.batches_of_block(block):
            for config, of_config in zip(self.inputs.configs, batches, strict=True):
                columns: Columns = {"index": batch.index_B}
                for detector in config.detectors:
                    columns.update(detector.read(batch))
                of_config.append(columns)
        for artifact, of_config in zip(self.inputs.artifacts, batches, strict=True):
            arrays = {}
            for name in of_config[0]:
                joined = np.concatenate([columns[name] for columns in of_config])
                arrays[name] = _as_arrow(joined)
            write_sealed_table(block_part(artifact, block), pa.table(arrays))


def block_parts(inputs: "EvidenceInputs", block: Block) -> list[Path]:
    """Returns where what is read off a block stands for every artifact."""
    return [block_part(artifact, block) for artifact in inputs.artifacts]


def block_part(artifact: Artifact, block: Block) -> Path:
    """Returns where what is read off a block stands for one artifact."""
    return artifact.scratch / f"block-{block.number:06d}{SEALED_SUFFIX}"


def join_blocks(
    artifact: Artifact,
    config: "DetectConfig",
    blocks: Sequence[Block],
    *,
    dataset: SuspectDataset,
    former: Artifact | None = None,
) -> None:
    """Joins the parts of all blocks into `evidence.parquet`, by ascending index.

    Detectors that need all samples at once finish here. What detectors measure goes to
    `metrics.json`, by detector.

    Args:
        artifact: What is made.
        config: Its detectors.
        blocks: The blocks, in any order.
        dataset: The samples.
        former: Evidence whose columns come before the new ones.

    Raises:
        RunError: If a score is missing, doubled, or not finite: it would sort as most suspicious.
    """
    read = _read_parts(artifact, blocks, dataset)
    evidence: Columns = {}
    metrics: dict[str, Any] = {}
    if former is not None:
        evidence = read_evidence(former.path)
        if former.has_file(METRICS_FILE):
            metrics = read_checked_json(former.path / METRICS_FILE)
    joined: Columns = {"index": dataset.index, **evidence}
    for detector in config.detectors:
        of_detector: Mapping[str, np.ndarray] = read
        if isinstance(detector, FinishesColumns):
            finished = detector.finish(Gathered(dataset, read, evidence))
            of_detector = finished.columns
            if finished.metrics:
                metrics[detector.name] = finished.metrics
        for name in detector.columns:
            joined[name] = of_detector[name]
            num_bad = int((~np.isfinite(joined[name])).sum())
            if num_bad:
                raise RunError(f"{num_bad} scores are not finite: {_what_diverged(detector)}")
    write_table(artifact.work / EVIDENCE_FILE, pa.table(joined))
    if metrics:
        write_json(artifact.work / METRICS_FILE, metrics)


def _what_diverged(detector: Detector) -> str:
    """Returns which models of a detector diverged, and the remedy."""
    if any(isinstance(model, Probe) for model in detector.models):
        return "the probe diverged; lower probe.sgd.learning_rate"
    return f"a model that {detector.name} reads diverged; lower its learning rate"


def _read_parts(artifact: Artifact, blocks: Sequence[Block], dataset: SuspectDataset) -> Columns:
    """Returns what was read off all samples, in their order.

    Columns of several numbers a sample are put into files of the artifact's scratch, so that
    memory holds those of one block at a time.
    """
    schema = read_sealed_table(block_part(artifact, blocks[0])).schema
    narrow = []
    wide = []
    for column in schema:
        if pa.types.is_fixed_size_list(column.type):
            wide.append(column.name)
        else:
            narrow.append(column.name)
    parts = [read_sealed_table(block_part(artifact, block), narrow) for block in blocks]
    table = pa.concat_tables(parts).sort_by("index")
    if not np.array_equal(table["index"].to_numpy(), dataset.index):
        raise RunError(
            f"{table.num_rows} scores for {dataset.num_samples} samples: "
            f"remove {artifact.work} and run again"
        )
    columns: Columns = {}
    for name in narrow:
        columns[name] = table[name].to_numpy()
    for name in wide:
        columns[name] = _gather_wide(name, artifact, blocks, dataset)
    return columns


def _gather_wide(
    name: str, artifact: Artifact, blocks: Sequence[Block], dataset: SuspectDataset
) -> np.ndarray:
    """Returns a column of several numbers a sample as a memory map, float32 [N, D]."""
    gathered: np.ndarray | None = None
    for block in blocks:
        part = read_sealed_table(block_part(artifact, block), ["index", name])
        values_BD = _from_arrow(part[name])
        if gathered is None:
            gathered = np.lib.format.open_memmap(
                artifact.scratch / f"{name}.npy",
                mode="w+",
                dtype=values_BD.dtype,
                shape=(dataset.num_samples, values_BD.shape[1]),
            )
        gathered[dataset.locate(part["index"].to_numpy())] = values_BD
    assert gathered is not None
    return gathered


def _as_arrow(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _from_arrow(column: pa.ChunkedArray) -> np.ndarray:
    lists = column.combine_chunks()
    flat: np.ndarray = lists.flatten().to_numpy()
    return flat.reshape(len(lists), -1)
