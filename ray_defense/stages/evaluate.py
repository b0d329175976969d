"""truth (opened), test set, models --evaluate--> every number of the table; nothing it makes goes back into a defense."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from scipy.stats import beta

from ray_defense.attacks import Attack
from ray_defense.core.checks import at_least
from ray_defense.core.local import best_device, threads
from ray_defense.core.store import Artifact, read_json, write_json
from ray_defense.core.truth import unseal
from ray_defense.data.sources import Source
from ray_defense.data.split_file import read_split
from ray_defense.models import build_model, load_weights
from ray_defense.stages.context import Context
from ray_defense.training.loop import to_device
from ray_defense.training.views import Normalization, to_float

VERSION = 1


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
    attack: Attack | None
    normalization: Normalization
    config: Evaluate


def measure(item: Measurement) -> list[dict[str, int]]:
    """Returns for each weight file counts over the test set: right, right outside the target class, hit, of how many."""
    labels = item.source.labels("test")
    if not len(labels):
        return [{} for _ in item.weights]
    batch = item.source.read("test", 0, len(labels))
    num_classes, device = item.source.info().num_classes, best_device()
    victims, wanted = np.zeros(len(batch.labels), bool), batch.labels
    triggered = batch.images[:0]
    if item.attack is not None:
        victims = item.attack.victims(batch.labels)
        wanted = item.attack.relabel(batch.labels, num_classes)
        triggered = item.attack.stamp(batch.images[victims], batch.index[victims], phase="test")
    found = []
    with threads(item.config.cpus):
        for path in item.weights:
            model = build_model(item.model, num_classes, 0)
            load_weights(path, model)
            model = to_device(model, device).eval()
            right = predict(model, batch.images, item, device) == batch.labels
            hit = predict(model, triggered, item, device) == wanted[victims]
            counts = {"right": right, "right_outside": right[victims], "hit": hit}
            found.append({name: int(array.sum()) for name, array in counts.items()})
            found[-1] |= {"n_clean": len(right), "n_triggered": len(hit)}
    return found


@torch.no_grad()
def predict(model: torch.nn.Module, images: np.ndarray, item: Measurement, device: torch.device) -> np.ndarray:
    """Returns the predicted class of each of uint8 [N, H, W, 3], int64 [N]."""
    predictions = [np.zeros(0, np.int64)]
    for low in range(0, len(images), item.config.batch_size):
        batch = torch.from_numpy(images[low : low + item.config.batch_size]).to(device)
        _, logits_BN = model(item.normalization.apply(to_float(batch)))
        predictions.append(logits_BN.argmax(1).cpu().numpy())
    return np.concatenate(predictions)


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


def run(
    config: Evaluate,
    suspect: Artifact,
    split: Artifact,
    models: dict[str, tuple[Any, Artifact]],
    source: Source,
    attack: Attack | None,
    context: Context,
) -> Artifact:
    """Measures every model and the split: `evaluation.json`, and `samples.parquet` with what is known of each sample.

    `models` maps a result's name (backdoored, d_br, d_st) to (model configuration, artifact). Without an attack there is
    no truth, and what needs it is null.
    """
    inputs = {"suspect": suspect, "split": split} | {name: artifact for name, (_, artifact) in models.items()}
    artifact = context.place("evaluation", VERSION, config, inputs, source=source, attack=attack, **context.settings)
    with context.store.claim(artifact) as missing:
        if not missing:
            return artifact
        start = time.perf_counter()
        items = [
            Measurement(name, model, weight_files(trained), source, attack, context.normalization, config)
            for name, (model, trained) in models.items()
        ]
        measured = context.executor.map(measure, items)
        evaluation = {name: rates(counts[0]) for name, counts in zip(models, measured, strict=True)}
        for item, counts in zip(items, measured, strict=True):
            curve = [rates(one) for one in counts[1:]]
            rounds = [{"acc": one["acc"], "asr": one["asr"]} for one in curve if one["acc"] is not None]
            if rounds:
                evaluation[item.name]["rounds"] = rounds
        table = samples(suspect, split, context, attack)
        pq.write_table(table, artifact.work / "samples.parquet")
        evaluation["score"] = split_quality(table) | {
            "trusted_class_counts": read_json(split.path / "summary.json")["trusted_class_counts"]
        }
        write_json(artifact.work / "evaluation.json", evaluation)
        artifact.publish(time.perf_counter() - start)
    return artifact


def weight_files(artifact: Artifact) -> tuple[Path, ...]:
    """Returns the kept model of a stage and after it those of its rounds, in order."""
    return (artifact.path / "model.safetensors", *sorted((artifact.path / "rounds").glob("*.safetensors")))


def samples(suspect: Artifact, split: Artifact, context: Context, attack: Attack | None) -> pa.Table:
    """Returns index, score, split and, where we poisoned the data ourselves, poisoned and true_label."""
    rows = read_split(split.path / "split.parquet")
    columns: dict[str, Sequence] = {"index": rows.index, "score": rows.score, "split": rows.split.tolist()}
    if attack is not None:
        truth = unseal(context.store.root, suspect.key)
        order = np.searchsorted(truth.index, rows.index)
        columns |= {"poisoned": truth.poisoned[order], "true_label": truth.true_label[order]}
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
