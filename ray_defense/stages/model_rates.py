"""ACC and ASR of models on a test set, with exact intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import betaincinv

from ray_defense.data.sources.listing import iterate_split
from ray_defense.data.sources.protocol import Batch, Source
from ray_defense.execution.device import best_device, torch_threads
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.protocol import Model
from ray_defense.models.weights import load_model
from ray_defense.stages.attacker.prepared_attack import PreparedAttack
from ray_defense.stages.relapse import RelapseInputs, fine_tune
from ray_defense.store.checked_files import checked_file
from ray_defense.training.loop import to_device
from ray_defense.training.normalization import Normalization
from ray_defense.training.views import to_float


@dataclass(frozen=True)
class Measurement:
    """Models of one shape to be measured on one test set; plain data that travels to a worker."""

    network: Model
    weights: tuple[Path, ...]
    source: Source
    num_classes: int
    attack: PreparedAttack | None
    normalization: Normalization
    batch_size: int
    num_threads: int
    relapse: RelapseInputs | None = None  # whether the kept model is also measured fine-tuned


@dataclass
class TestCounts:
    """What was counted over the test set for one model; all counts are 0 without a test set."""

    __test__ = False  # for pytest, which would take it for a class of tests

    num_clean: int = 0
    num_right: int = 0
    num_right_outside_target: int = 0  # among those whose class is not the attacker's target
    num_triggered: int = 0
    num_hit: int = 0  # triggered images predicted as the attacker wants
    num_triggered_right: int = 0  # triggered images given their true label
    num_rejected: int = 0  # test samples that could not be used


@torch.no_grad()
def measure_model(measurement: Measurement) -> list[TestCounts]:
    """Returns what is counted for each weight file over the test set, read in pieces.

    With `relapse`, the last counts are those of the kept model after fine-tuning.
    """
    weights = list(measurement.weights)
    if measurement.relapse is not None:
        weights.append(weights[0])
    counts = [TestCounts() for _ in weights]
    if not len(measurement.source.labels("test")):
        return counts
    device = best_device()
    models = []
    for path in weights:
        model = load_model(checked_file(path), measurement.network, measurement.num_classes)
        models.append(to_device(model, device).eval())
    with torch_threads(measurement.num_threads):
        if measurement.relapse is not None:
            fine_tune(models[-1], measurement.relapse, measurement.normalization, device)
        for batch in iterate_split(measurement.source, "test", measurement.batch_size):
            triggered = _trigger(measurement, batch)
            for model, of_model in zip(models, counts, strict=True):
                _count(measurement, batch, triggered, of_model=of_model, model=model, device=device)
    return counts


@dataclass(frozen=True)
class _Triggered:
    """The triggered images of a batch."""

    victims: np.ndarray  # bool [N]: the samples of the batch that count for ASR
    wanted: np.ndarray  # int64, the labels that the attacker wants for them
    true: np.ndarray  # int64, their true labels
    images: np.ndarray  # uint8


def _trigger(measurement: Measurement, batch: Batch) -> _Triggered:
    if measurement.attack is None:
        nobody = np.zeros(len(batch.labels), bool)
        none = batch.labels[:0]
        return _Triggered(nobody, wanted=none, true=none, images=batch.images[:0])
    target = measurement.attack.attack.target
    victims = target.victims(batch.labels)
    wanted = target.relabel(batch.labels, measurement.num_classes)[victims]
    images = measurement.attack.stamp(batch.images[victims], batch.index[victims], "test")
    return _Triggered(victims, wanted, batch.labels[victims], images)


def _count(
    measurement: Measurement,
    batch: Batch,
    triggered: _Triggered,
    *,
    of_model: TestCounts,
    model: FeatureClassifier,
    device: torch.device,
) -> None:
    """Adds what a model makes of a batch to its counts."""
    predicted = _predict(model, batch.images, measurement.normalization, device)
    is_right = predicted == batch.labels
    hit = _predict(model, triggered.images, measurement.normalization, device)
    of_model.num_clean += len(is_right)
    of_model.num_right += int(is_right.sum())
    of_model.num_right_outside_target += int(is_right[triggered.victims].sum())
    of_model.num_triggered += len(hit)
    of_model.num_hit += int((hit == triggered.wanted).sum())
    of_model.num_triggered_right += int((hit == triggered.true).sum())
    of_model.num_rejected += len(batch.rejected)


def _predict(
    model: FeatureClassifier,
    images_NHWC: np.ndarray,
    normalization: Normalization,
    device: torch.device,
) -> np.ndarray:
    """Returns the predicted class of each image, int64 [N]."""
    if not len(images_NHWC):
        return np.zeros(0, np.int64)
    images = to_float(torch.from_numpy(images_NHWC).to(device))
    _, logits_BN = model(normalization.apply(images))
    predicted: np.ndarray = logits_BN.argmax(1).cpu().numpy()
    return predicted


def clopper_pearson(
    num_successes: int, num_trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the exact interval of a binomial proportion (Clopper and Pearson, 1934).

    Args:
        num_successes: Observed successes.
        num_trials: Trials, at least 1.
        confidence: The least probability that the interval holds the proportion.
    """
    tail = (1 - confidence) / 2
    num_failures = num_trials - num_successes
    low = 0.0
    high = 1.0
    if num_successes > 0:
        low = float(betaincinv(num_successes, num_failures + 1, tail))
    if num_failures > 0:
        high = float(betaincinv(num_successes + 1, num_failures, 1 - tail))
    return low, high


def model_rates(counts: Sequence[TestCounts], has_relapse: bool = False) -> dict[str, Any]:
    """Returns the rates of a model, and of its rounds if it has some.

    Args:
        counts: Of the kept model, then of each round.
        has_relapse: Whether the last counts are those of the kept model after fine-tuning.
    """
    rates = rates_of_counts(counts[0])
    rates["relapse"] = None
    if has_relapse:
        *counts, relapsed = counts
        all_rates = rates_of_counts(relapsed)
        rates["relapse"] = {name: all_rates[name] for name in ("acc", "asr", "robust_acc")}
    rounds = []
    for of_round in counts[1:]:
        all_rates = rates_of_counts(of_round)
        if all_rates["acc"] is not None:
            rounds.append({"acc": all_rates["acc"], "asr": all_rates["asr"]})
    rates["rounds"] = rounds or None
    return rates


def rates_of_counts(counts: TestCounts) -> dict[str, Any]:
    """Returns ACC and ASR in [0, 1] with 95 % intervals; None where nothing was counted.

    ACC is over the whole test set; `acc_target_excluded` leaves the target class out (D8).
    `robust_acc` is over the triggered images, on their true labels: unlearning without a bound may
    move the trigger to another class, which ASR does not see.
    """
    rates: dict[str, Any] = {
        "acc": None,
        "acc_interval": None,
        "acc_target_excluded": None,
        "asr": None,
        "asr_interval": None,
        "robust_acc": None,
        "robust_acc_interval": None,
        "num_clean": counts.num_clean,
        "num_triggered": counts.num_triggered,
    }
    if counts.num_clean:
        rates["acc"] = counts.num_right / counts.num_clean
        rates["acc_interval"] = clopper_pearson(counts.num_right, counts.num_clean)
    if counts.num_triggered:
        rates["acc_target_excluded"] = counts.num_right_outside_target / counts.num_triggered
        rates["asr"] = counts.num_hit / counts.num_triggered
        rates["asr_interval"] = clopper_pearson(counts.num_hit, counts.num_triggered)
        rates["robust_acc"] = counts.num_triggered_right / counts.num_triggered
        rates["robust_acc_interval"] = clopper_pearson(
            counts.num_triggered_right, counts.num_triggered
        )
    return rates
