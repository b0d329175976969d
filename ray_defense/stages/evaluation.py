"""truth (opened), test set, models --evaluate--> every number of the table; nothing it makes goes back into a defense."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.stats import beta

from ray_defense.core.checks import at_least
from ray_defense.core.errors import Refused
from ray_defense.core.files import read_json, write_json
from ray_defense.data.sources import Batch, Source
from ray_defense.data.split_table import read_split
from ray_defense.data.suspect_dataset import write_table
from ray_defense.execution.local import best_device, threads
from ray_defense.models import build_model, load_weights
from ray_defense.scores import split_by_score
from ray_defense.stages import ingest as shard
from ray_defense.stages.attacker.material import Armed
from ray_defense.stages.context import Context
from ray_defense.stages.decide import Split
from ray_defense.store.artifacts import Artifact
from ray_defense.store.truth import unseal
from ray_defense.training.loop import to_device
from ray_defense.training.views import Normalization, to_float

VERSION = 2
WEAK_ASR = 0.85  # the paper's tables leave out attacks that do not reach it on the backdoored model


@dataclass(frozen=True)
class Evaluate:
    """How the test set is passed through the models."""

    batch_size: int = 500
    cpus: int = 2  # torch's threads

    def __post_init__(self) -> None:
        at_least("evaluate.batch_size", self.batch_size, 1)
        at_least("evaluate.cpus", self.cpus, 1)


@dataclass(frozen=True)
class Measurement:
    """Models of one shape to be measured on one test set; plain data, so that it travels to a worker."""

    name: str
    model: Any
    weights: tuple[Path, ...]
    source: Source
    num_classes: int
    armed: Armed | None
    normalization: Normalization
    config: Evaluate


@torch.no_grad()
def measure(item: Measurement) -> list[dict[str, int]]:
    """Returns for each weight file counts over the test set, read in pieces.

    The counts: right, right_outside (the target class), hit (predicted as the attacker wants) and, of how many, n_clean
    and n_triggered; n_rejected test samples could not be used. Without a test set: empty.
    """
    total, device = len(item.source.labels("test")), best_device()
    if not total:
        return [{} for _ in item.weights]
    models = [_load(item, path, device) for path in item.weights]
    found = [Counter() for _ in models]
    with threads(item.config.cpus):
        for low in range(0, total, item.config.batch_size):
            batch = item.source.read("test", low, low + item.config.batch_size)
            victims, wanted, triggered = _attacked(item, batch)
            for counts, model in zip(found, models, strict=True):
                right = _predict(model, batch.images, item, device) == batch.labels
                hit = _predict(model, triggered, item, device) == wanted
                counts.update(right=int(right.sum()), right_outside=int(right[victims].sum()), hit=int(hit.sum()))
                counts.update(n_clean=len(right), n_triggered=len(hit), n_rejected=len(batch.rejected))
    return [dict(counts) for counts in found]


def _load(item: Measurement, path: Path, device: torch.device) -> torch.nn.Module:
    model = build_model(item.model, item.num_classes, 0)
    load_weights(path, model)
    return to_device(model, device).eval()


def _attacked(item: Measurement, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns which samples count for ASR bool [N], the labels the attacker wants for them, and their triggered images."""
    if item.armed is None:
        return np.zeros(len(batch.labels), bool), batch.labels[:0], batch.images[:0]
    aim = item.armed.attack.aim
    victims = aim.victims(batch.labels)
    wanted = aim.relabel(batch.labels, item.num_classes)[victims]
    return victims, wanted, item.armed.stamp(batch.images[victims], batch.index[victims], "test")


def _predict(model: torch.nn.Module, images: np.ndarray, item: Measurement, device: torch.device) -> np.ndarray:
    """Returns the predicted class of each of uint8 [N, H, W, 3], int64 [N]."""
    if not len(images):
        return np.zeros(0, np.int64)
    _, logits_BN = model(item.normalization.apply(to_float(torch.from_numpy(images).to(device))))
    return logits_BN.argmax(1).cpu().numpy()


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Returns the exact interval of a binomial proportion (Clopper and Pearson, 1934)."""
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(beta.ppf(1 - tail, successes + 1, trials - successes))
    return low, high


def rates(counts: dict[str, int]) -> dict[str, Any]:
    """Returns ACC and ASR in [0, 1] with 95 % intervals; None where there was nothing to count (D8: both ACCs)."""
    clean, triggered = counts.get("n_clean", 0), counts.get("n_triggered", 0)

    def share(name: str, total: int) -> float | None:
        return counts[name] / total if total else None

    return {
        "acc": share("right", clean),
        "acc_interval": clopper_pearson(counts["right"], clean) if clean else None,
        "acc_target_excluded": share("right_outside", triggered),
        "asr": share("hit", triggered),
        "asr_interval": clopper_pearson(counts["hit"], triggered) if triggered else None,
        "n_clean": clean,
        "n_triggered": triggered,
    }


def place(
    config: Evaluate,
    suspect: Artifact,
    split: Artifact | None,
    models: dict[str, tuple[Any, Artifact]],
    source: Source,
    armed: Armed | None,
    context: Context,
) -> Artifact:
    """Returns where the numbers stand."""
    inputs = {"suspect": suspect} | {name: artifact for name, (_, artifact) in models.items()}
    inputs |= ({"split": split} if split else {}) | (armed.inputs if armed else {})
    attack = armed and armed.attack
    described = {"source": source, "identity": shard.identity(source, "test"), "attack": attack, **context.settings}
    return context.place("evaluation", VERSION, config, inputs, **described)


def run(
    config: Evaluate,
    suspect: Artifact,
    split: Artifact | None,
    models: dict[str, tuple[Any, Artifact]],
    source: Source,
    armed: Armed | None,
    context: Context,
) -> Artifact:
    """Measures every model and the split: `evaluation.json`, and `samples.parquet` with what is known of each sample.

    Without a `split` (None) the models only. `models` maps a result's name (backdoored, d_br, d_st) to (model configuration,
    artifact). Without an attack there is no truth, and what needs it is null. Cover samples, whose labels are right, count
    as not poisoned.
    """
    artifact = place(config, suspect, split, models, source, armed, context)
    with context.store.claim(artifact) as missing:
        if not missing:
            return artifact
        start = time.perf_counter()
        num_classes = read_json(suspect.path / "dataset.json")["num_classes"]
        items = [
            Measurement(name, model, weight_files(trained), source, num_classes, armed, context.normalization, config)
            for name, (model, trained) in models.items()
        ]
        measured = context.executor.map(measure, items)
        evaluation = {name: rates(counts[0]) for name, counts in zip(models, measured, strict=True)}
        for item, counts in zip(items, measured, strict=True):
            curve = [rates(one) for one in counts[1:]]
            rounds = [{"acc": one["acc"], "asr": one["asr"]} for one in curve if one["acc"] is not None]
            if rounds:
                evaluation[item.name]["rounds"] = rounds
        if armed is not None and "backdoored" in evaluation:
            asr = evaluation["backdoored"]["asr"]
            evaluation["weak_attack"] = None if asr is None else asr < WEAK_ASR
        rejected = measured[0][0].get("n_rejected", 0) if measured else 0
        evaluation["notes"] = [f"{rejected} test samples were rejected and are in no rate"] if rejected else []
        if split is not None:
            table = samples(suspect, split, context, truth=armed is not None)
            write_table(artifact.work / "samples.parquet", table)
            counts = read_json(split.path / "summary.json")["trusted_class_counts"]
            evaluation["score"] = split_quality(table) | {"trusted_class_counts": counts}
        write_json(artifact.work / "evaluation.json", evaluation)
        artifact.publish(time.perf_counter() - start)
    return artifact


def weight_files(artifact: Artifact) -> tuple[Path, ...]:
    """Returns the kept model of a stage and after it those of its rounds, in order."""
    return (artifact.path / "model.safetensors", *sorted((artifact.path / "rounds").glob("*.safetensors")))


def samples(suspect: Artifact, split: Artifact, context: Context, *, truth: bool) -> pa.Table:
    """Returns index, score, split and, where we poisoned the data ourselves, poisoned, cover and true_label."""
    rows = read_split(split.path / "split.parquet")
    columns: dict[str, Sequence] = {"index": rows.index, "score": rows.score, "split": rows.split.tolist()}
    if truth:
        known = unseal(context.store, suspect.key)
        order = np.searchsorted(known.index, rows.index)
        columns |= {name: getattr(known, name)[order] for name in ("poisoned", "cover", "true_label")}
    return pa.table(columns)


def split_quality(table: pa.Table) -> dict[str, float | None]:
    """Returns AUROC of the score and the precision of the two splits against the truth; None without it or an empty split."""
    empty = {"auroc": None, "trusted_precision": None, "poisoned_precision": None}
    if "poisoned" not in table.column_names:
        return empty
    poisoned, split = table["poisoned"].to_numpy(), np.array(table["split"].to_pylist())
    if poisoned.any() and not poisoned.all():
        from sklearn.metrics import roc_auc_score  # its import takes a second and draws from Python's global generator

        empty["auroc"] = float(roc_auc_score(poisoned, table["score"].to_numpy()))
    for name, wanted in (("trusted", ~poisoned), ("poisoned", poisoned)):
        if (split == name).any():
            empty[f"{name}_precision"] = float(wanted[split == name].mean())
    return empty


def judge_trace(trace: Artifact, suspect: Artifact, split: Split, context: Context) -> list[dict[str, Any]]:
    """Returns, for each epoch of a trace, its number and the quality of its scores split by `split` (see `split_quality`).

    Raises Refused for another dataset's trace, and where nobody poisoned the dataset for us: there is no truth.
    """
    if trace.inputs["suspect"] != suspect.key:
        raise Refused(f"{trace.path} is of the dataset {trace.inputs['suspect']}, not of {suspect.key}: give that one")
    known, table = unseal(context.store, suspect.key), pq.read_table(trace.path / "scores.parquet")
    epochs, found = table["epoch"].to_numpy(), []
    for epoch in np.unique(epochs):
        index, score = (table[name].to_numpy()[epochs == epoch] for name in ("index", "score"))
        parts = split_by_score(score, split.clean_fraction, split.poison_fraction)
        poisoned = known.poisoned[np.searchsorted(known.index, index)]
        rows = pa.table({"score": score, "split": parts.names().tolist(), "poisoned": poisoned})
        found.append({"epoch": int(epoch), **split_quality(rows)})
    return found
