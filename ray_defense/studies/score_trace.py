"""probe's epochs --trace--> the scores after each epoch, and label-free metrics beside them.

It serves to find a metric that says when L_intra hurts.

Shapes: E epochs kept, N samples, B of a block, n of them drawn, D features.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import write_json
from ray_defense.core.random import stream, uniform
from ray_defense.core.sealed import SEALED_SUFFIX, read_sealed, write_sealed
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.data.table_file import write_table
from ray_defense.detectors.feature_scorer import (
    Block,
    FeatureScorer,
    ScorerInputs,
    cut_into_blocks,
    scoring_patience_s,
)
from ray_defense.detectors.probe import kept_epochs
from ray_defense.detectors.protocol import Detector
from ray_defense.detectors.required_models import Probe
from ray_defense.detectors.trained_weights import TrainedWeights
from ray_defense.execution.device import torch_threads
from ray_defense.execution.protocols import Backend, BlockJob, Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.losses.class_centers import class_center_similarity
from ray_defense.models.protocol import Model
from ray_defense.scores.label_free import effective_rank, feature_norm, label_free_metrics
from ray_defense.stages.context import PlanContext
from ray_defense.stages.detect import DetectConfig
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization

TRACE = "trace"
VERSION = 2
NUM_DRAWN = 2000  # samples whose features are looked at
# The arrays of a block's part, each with its axis of samples.
_SAMPLE_AXES = {"index_B": 0, "score_EB": 1, "features_EnD": 1, "predicted_En": 1}


@dataclass(frozen=True)
class TraceInputs:
    """What tracing the scores of a probe takes."""

    detect: DetectConfig
    decide: Any  # one of DECISIONS
    seed: int
    suspect: Artifact
    probe: Artifact
    model: Model  # of the probe
    normalization: Normalization


def trace_step(
    detect: DetectConfig,
    decide: Any,
    suspect: Step,
    *,
    probe: Step,
    model: Model,
    context: PlanContext,
) -> Step:
    """Returns the step that scores every sample with every kept epoch of the probe.

    It leaves `scores.parquet` (epoch, index, score) and `metrics.json`. Epochs count L_intra; 0
    is after cross-entropy. The scores of the last epoch equal the evidence, to the bit.

    The metrics, a list by epoch, are what `label_free_metrics` gives and, over the same at most
    2,000 drawn samples in each epoch, `effective_rank` and `feature_norm` of the clean view's
    features, `train_accuracy` on the labels as received, and `class_similarity`, the value of
    L_intra.

    Args:
        detect: How samples are scored; the first detector counts.
        decide: How scores are split.
        suspect: The step of the dataset.
        probe: The step of a probe that keeps its epochs.
        model: The configuration of the probe's network.
        context: The surroundings of the plan.
    """
    needs = {"suspect": suspect, "probe": probe}
    config = {"detect": detect, "decide": decide}
    artifact = context.locate(TRACE, VERSION, config, needs, normalization=context.normalization)
    inputs = TraceInputs(
        detect=detect,
        decide=decide,
        seed=context.seed,
        suspect=suspect.artifact,
        probe=probe.artifact,
        model=model,
        normalization=context.normalization,
    )
    work = FunctionWork(partial(_trace, inputs))
    return Step(artifact, needs=(suspect, probe), work=work)


@dataclass(frozen=True)
class TracerInputs:
    """What reading blocks with the probe as it was after each epoch takes."""

    scorer: ScorerInputs
    detector: Detector
    drawn: np.ndarray  # indices of the samples whose features are kept, ascending
    scratch: Path


class Tracer:
    """Reads blocks with the probe as it was after each epoch; it reads the data once for all."""

    def __init__(self, inputs: TracerInputs, device: torch.device, backend: Backend):
        self.inputs = inputs
        self.scorer = FeatureScorer(inputs.scorer, device, backend)

    def __call__(self, block: Block) -> None:
        """Writes the part of a block: scores, and features and predictions of the drawn."""
        index = []
        scores = []
        features = []
        predicted = []
        for batch in self.scorer.batches_of_block(block):
            is_drawn = torch.from_numpy(np.isin(batch.index_B, self.inputs.drawn))
            of_batch: dict[str, list[np.ndarray]] = {"score": [], "features": [], "predicted": []}
            for of_epoch in batch.alternatives(Probe()):
                outputs = of_epoch.outputs(Probe())
                columns = self.inputs.detector.read(of_epoch)
                of_batch["score"].append(columns[self.inputs.detector.name])
                of_batch["features"].append(outputs.features_BD.cpu()[is_drawn].numpy())
                of_batch["predicted"].append(outputs.logits_BN.argmax(1).cpu()[is_drawn].numpy())
            index.append(batch.index_B)
            scores.append(np.stack(of_batch["score"]))
            features.append(np.stack(of_batch["features"]))
            predicted.append(np.stack(of_batch["predicted"]))
        sink = io.BytesIO()
        np.savez(
            sink,
            index_B=np.concatenate(index),
            score_EB=np.concatenate(scores, axis=1),
            features_EnD=np.concatenate(features, axis=1),
            predicted_En=np.concatenate(predicted, axis=1),
        )
        write_sealed(trace_part(self.inputs, block), sink.getvalue())


def trace_part(inputs: TracerInputs, block: Block) -> Path:
    """Returns where the part of a block stands."""
    return inputs.scratch / f"block-{block.number:06d}{SEALED_SUFFIX}"


def _trace_parts(inputs: TracerInputs, block: Block) -> list[Path]:
    return [trace_part(inputs, block)]


def draw_samples(index_N: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns the `count` indices with the smallest draws, ascending; all if there are fewer."""
    draws = uniform(stream(seed, "trace", "features"), index_N, 1)[:, 0]
    order = np.argsort(draws, kind="stable")
    return np.sort(index_N[order[:count]])


def _trace(inputs: TraceInputs, artifact: Artifact, executor: Executor) -> None:
    epochs = kept_epochs(inputs.probe)
    dataset = SuspectDataset(inputs.suspect.path)
    detector = inputs.detect.detectors[0]
    if set(detector.models) != {Probe()}:
        raise InputError(
            f"{detector.name} does not read the probe: name a detector that does, such as fct, "
            "first in detect.detectors"
        )
    tracer_inputs = TracerInputs(
        scorer=ScorerInputs(
            seed=inputs.seed,
            suspect=inputs.suspect.path,
            models={Probe(): TrainedWeights(tuple(epochs.values()), inputs.model)},
            normalization=inputs.normalization,
            batch_size=inputs.detect.batch_size,
        ),
        detector=detector,
        drawn=draw_samples(dataset.index, NUM_DRAWN, inputs.seed),
        scratch=artifact.scratch,
    )
    block_size = inputs.detect.block_size
    job = BlockJob(
        task=TRACE,
        open=Tracer,
        inputs=tracer_inputs,
        blocks=cut_into_blocks(dataset, block_size),
        parts=_trace_parts,
        cpus_per_actor=inputs.detect.cpus_per_actor,
        patience_s=scoring_patience_s(block_size, [detector], len(epochs)),
    )
    executor.run_blocks(job)
    arrays = _join_parts(tracer_inputs, job.blocks)
    _check_scores(arrays, dataset, epochs, artifact)
    columns = {
        "epoch": np.repeat(list(epochs), dataset.num_samples),
        "index": np.tile(dataset.index, len(epochs)),
        "score": arrays["score_EB"].reshape(-1),
    }
    write_table(artifact.work / "scores.parquet", pa.table(columns))
    metrics = []
    with torch_threads(inputs.detect.cpus_per_actor):
        for position, epoch in enumerate(epochs):
            of_epoch = _metrics_of_epoch(inputs, arrays, dataset, position=position)
            metrics.append({"epoch": epoch, **of_epoch})
    write_json(artifact.work / "metrics.json", metrics)


def _metrics_of_epoch(
    inputs: TraceInputs, arrays: dict[str, np.ndarray], dataset: SuspectDataset, *, position: int
) -> dict[str, float | None]:
    """Returns the label-free metrics of one epoch."""
    scores = arrays["score_EB"][position]
    parts = inputs.decide.split(scores)
    num_classes = dataset.num_classes
    metrics = label_free_metrics(scores, dataset.labels, parts, num_classes)
    drawn = draw_samples(dataset.index, NUM_DRAWN, inputs.seed)
    labels_n = dataset.labels[dataset.locate(drawn)]
    features_nD = arrays["features_EnD"][position]
    predicted_n = arrays["predicted_En"][position]
    metrics.update(model_metrics(features_nD, predicted_n, labels_n, num_classes))
    return metrics


def model_metrics(
    features_nD: np.ndarray, predicted_n: np.ndarray, labels_n: np.ndarray, num_classes: int
) -> dict[str, float]:
    """Returns what some samples tell of a model.

    Args:
        features_nD: Features of the clean views, float32.
        predicted_n: Predicted labels.
        labels_n: Labels as received.
        num_classes: Of the dataset.
    """
    features = torch.from_numpy(features_nD)
    labels = torch.from_numpy(labels_n)
    return {
        "effective_rank": effective_rank(features),
        "feature_norm": feature_norm(features),
        "train_accuracy": float((predicted_n == labels_n).mean()),
        "class_similarity": class_center_similarity(features, labels, num_classes).item(),
    }


def _check_scores(
    arrays: dict[str, np.ndarray],
    dataset: SuspectDataset,
    epochs: Iterable[int],
    artifact: Artifact,
) -> None:
    """Raises RunError if a score is missing, doubled, or not finite."""
    index = arrays["index_B"]
    if not np.array_equal(index, dataset.index):
        raise RunError(
            f"{len(index)} scores for {dataset.num_samples} samples: "
            f"remove {artifact.work} and run again"
        )
    for epoch, scores in zip(epochs, arrays["score_EB"], strict=True):
        num_bad = int((~np.isfinite(scores)).sum())
        if num_bad:
            raise RunError(
                f"{num_bad} scores are not finite after epoch {epoch} of L_intra: the probe "
                "diverged; lower probe.sgd.learning_rate"
            )


def _join_parts(inputs: TracerInputs, blocks: Iterable[Block]) -> dict[str, np.ndarray]:
    """Returns the parts of all blocks as one, samples by ascending index."""
    parts = []
    for block in blocks:
        with np.load(io.BytesIO(read_sealed(trace_part(inputs, block)))) as part:
            parts.append(dict(part))
    joined = {}
    for name, axis in _SAMPLE_AXES.items():
        joined[name] = np.concatenate([part[name] for part in parts], axis=axis)
    index = joined["index_B"]
    all_samples = np.argsort(index, kind="stable")
    drawn_samples = np.argsort(index[np.isin(index, inputs.drawn)], kind="stable")
    orders = {
        "index_B": all_samples,
        "score_EB": all_samples,
        "features_EnD": drawn_samples,
        "predicted_En": drawn_samples,
    }
    for name, axis in _SAMPLE_AXES.items():
        joined[name] = np.take(joined[name], orders[name], axis=axis)
    return joined
