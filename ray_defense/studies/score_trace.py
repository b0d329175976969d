"""probe's epochs --trace--> the scores after each and signs that see no truth: to find one that says when L_intra hurts.

Shapes: S epochs kept, M samples, B of them in a block, n of them drawn, D features.
"""

import io
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ray_defense.core.errors import Failed
from ray_defense.core.files import read_json, write_bytes, write_json
from ray_defense.core.random import stream, uniform
from ray_defense.data.suspect_dataset import ShardSet, write_table
from ray_defense.execution.local import threads
from ray_defense.execution.protocols import Backend, BlockJob
from ray_defense.losses import class_center_similarity
from ray_defense.scores import effective_rank, feature_norm, score_signs, split_by_score
from ray_defense.stages.context import Context
from ray_defense.stages.decide import Split
from ray_defense.stages.detect import Block, Gauge, Score, patience_s, plan
from ray_defense.stages.probe import kept_epochs
from ray_defense.store.artifacts import Artifact

VERSION = 1
DRAWN = 2000  # samples whose features are looked at
_SAMPLES = {"index_B": 0, "score_SB": 1, "features_SnD": 1, "predicted_Sn": 1}  # what a part holds -> its axis of samples


def draw(index_M: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns the `count` indices (all, if there are fewer) with the smallest draws, ascending."""
    draws = uniform(stream(seed, "trace", "features"), index_M, 1)[:, 0]
    return np.sort(index_M[np.argsort(draws, kind="stable")[:count]])


def parts(job: BlockJob, block: Block) -> list[Path]:
    """Returns where the readings of a block stand once they are computed."""
    return [job.artifact.scratch / f"block-{block.number:06d}.npz"]


class Tracer:
    """Reads blocks with the probe as it was after each epoch; holds all these models, so that it reads the data once."""

    def __init__(self, job: BlockJob, device: torch.device, backend: Backend):
        self.job = job
        self.gauge = Gauge(job, job.settings["weights"], [job.config], device, backend)

    def __call__(self, block: Block) -> None:
        """Writes the part of `block`, whole or not at all: scores, and features and predicted labels of the drawn."""
        index, score, features, predicted = [], [], [], []
        for batch, readings in self.gauge.readings(block):
            index_B = batch.index.numpy()
            drawn_B = torch.from_numpy(np.isin(index_B, self.job.settings["drawn"]))
            index.append(index_B)
            score.append(np.stack([reading.scores[0] for reading in readings]))
            features.append(np.stack([reading.features_BD.cpu()[drawn_B].numpy() for reading in readings]))
            predicted.append(np.stack([reading.logits_BN.argmax(1).cpu()[drawn_B].numpy() for reading in readings]))
        sink = io.BytesIO()
        np.savez(
            sink,
            index_B=np.concatenate(index),
            score_SB=np.concatenate(score, axis=1),
            features_SnD=np.concatenate(features, axis=1),
            predicted_Sn=np.concatenate(predicted, axis=1),
        )
        write_bytes(*parts(self.job, block), sink.getvalue())


def run(score: Score, split: Split, suspect: Artifact, probe: Artifact, model: Any, context: Context) -> Artifact:
    """Scores every sample with every kept epoch of the probe: `scores.parquet` (epoch, index, score) and `signs.json`.

    Epochs are those of L_intra, 0 is after cross-entropy; the last epoch's scores are those of the score stage, to the bit.
    Signs, a list by epoch: those of `scores.score_signs` and, over the same at most 2,000 drawn samples in each epoch,
    `effective_rank` and `feature_norm` of the clean view's features, `train_accuracy` on the labels as received, and
    `class_similarity`, the value of L_intra. Raises Refused for a probe that kept no epochs, Failed when a score is
    missing, doubled, or not finite.
    """
    epochs = kept_epochs(probe)
    inputs = {"suspect": suspect, "probe": probe}
    artifact = context.place("trace", VERSION, {"score": score, "split": split}, inputs, **context.settings)
    with context.store.claim(artifact) as missing:
        if not missing:
            return artifact
        start = time.perf_counter()
        shards = ShardSet(suspect.path)
        drawn = draw(shards.index, DRAWN, context.seed)
        settings = {"model": model, "weights": list(epochs.values()), "drawn": drawn, **context.settings}
        blocks = plan(shards, score.block_size)
        longest_s = patience_s([score], len(epochs))
        job = BlockJob(Tracer, blocks, parts, score, context.seed, artifact, inputs, settings, longest_s)
        context.executor.score(job)
        read = _join(job)
        _check(read, shards, epochs, artifact)
        columns = {
            "epoch": np.repeat(list(epochs), shards.num_samples),
            "index": np.tile(shards.index, len(epochs)),
            "score": read["score_SB"].reshape(-1),
        }
        write_table(artifact.work / "scores.parquet", pa.table(columns))
        num_classes = read_json(suspect.path / "dataset.json")["num_classes"]
        drawn_labels_n = shards.labels[shards.locate(drawn)]
        found = []
        with threads(score.cpus_per_actor):
            for number, epoch in enumerate(epochs):
                score_M = read["score_SB"][number]
                shares = split_by_score(score_M, split.clean_fraction, split.poison_fraction)
                seen = score_signs(score_M, shards.labels, shares, num_classes)
                seen |= model_signs(read["features_SnD"][number], read["predicted_Sn"][number], drawn_labels_n, num_classes)
                found.append({"epoch": epoch, **seen})
        write_json(artifact.work / "signs.json", found)
        artifact.publish(time.perf_counter() - start)
    return artifact


def model_signs(features_nD: np.ndarray, predicted_n: np.ndarray, labels_n: np.ndarray, num_classes: int) -> dict[str, float]:
    """Returns what features float32, predicted labels and labels as received of some samples tell of their model."""
    features, labels = torch.from_numpy(features_nD), torch.from_numpy(labels_n)
    return {
        "effective_rank": effective_rank(features),
        "feature_norm": feature_norm(features),
        "train_accuracy": float((predicted_n == labels_n).mean()),
        "class_similarity": class_center_similarity(features, labels, num_classes).item(),
    }


def _check(read: dict[str, np.ndarray], shards: ShardSet, epochs: Iterable[int], artifact: Artifact) -> None:
    if not np.array_equal(read["index_B"], shards.index):
        raise Failed(f"{len(read['index_B'])} scores for {shards.num_samples} samples: remove {artifact.work} and run again")
    for epoch, score_M in zip(epochs, read["score_SB"], strict=True):
        bad = ~np.isfinite(score_M)
        if bad.any():
            raise Failed(
                f"{int(bad.sum())} scores are not finite after epoch {epoch} of L_intra: the probe diverged; "
                "lower probe.sgd.learning_rate"
            )


def _join(job: BlockJob) -> dict[str, np.ndarray]:
    """Returns the parts of all blocks as one, samples by ascending index."""
    read = [dict(np.load(path)) for block in job.blocks for path in parts(job, block)]
    whole = {name: np.concatenate([one[name] for one in read], axis=axis) for name, axis in _SAMPLES.items()}
    everyone = np.argsort(whole["index_B"], kind="stable")
    drawn = np.argsort(whole["index_B"][np.isin(whole["index_B"], job.settings["drawn"])], kind="stable")
    orders = {"index_B": everyone, "score_SB": everyone, "features_SnD": drawn, "predicted_Sn": drawn}
    return {name: np.take(whole[name], order, axis=_SAMPLES[name]) for name, order in orders.items()}
