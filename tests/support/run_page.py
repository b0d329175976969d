"""The data of a run's page."""

import dataclasses
from typing import Any

import numpy as np

from ray_defense.reports.run_page import Example, ReportData, Round, Suspect

RATES = {
    "title": "backdoored model",
    "acc": 0.92,
    "acc_target_excluded": 0.915,
    "robust_acc": 0.875,
    "robust_acc_interval": [0.85, 0.9],
    "asr": 0.998,
    "num_clean": 1000,
    "num_triggered": 900,
    "acc_interval": [0.901, 0.936],
    "asr_interval": [0.992, 0.9998],
}
SCORE = {
    "auroc": 0.998,
    "trusted_precision": 1.0,
    "flagged_precision": 0.9,
    "trusted_class_counts": [30, 10],
}
RESULT = {
    "recipe": "digits-badnets",
    "seed": 3,
    "score": SCORE,
    "models": {"backdoored": RATES, "d_br": RATES | {"title": "D-BR", "asr": 0.003}},
    "weak_attack": False,
    "seconds": {"probe": 61.5, "evidence": 2.25},
    "artifacts": {"probe": "store/probe/ab"},
    "report": "store/report.html",
    "versions": {"torch": "2.15"},
    "notes": ["class 1 is scarce"],
}


def random_image(seed: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def make_suspect(rank: int, name: str = "zero", poisoned: bool | None = True) -> Suspect:
    return Suspect(
        index=rank + 100,
        rank=rank,
        score=9.0 / rank,
        label=name,
        image=random_image(rank),
        transformed=random_image(rank + 50),
        poisoned=poisoned,
        origin=name,
    )


def make_example(label: str, original_label: str) -> Example:
    return Example(
        index=7,
        label=label,
        original_label=original_label,
        image=random_image(7),
        clean_image=random_image(8),
    )


def report_data(result: dict[str, Any] | None = None, **changes: Any) -> ReportData:
    poisoned = np.arange(200) < 20
    noise = np.random.default_rng(0).uniform(0.5, 2, 200)
    data = ReportData(
        result=RESULT | (result or {}),
        config={"alpha_c": 0.2, "attack": {"kind": "badnets"}},
        scores=np.where(poisoned, 100.0, 1.0) * noise,
        poisoned=poisoned,
        trusted_threshold=0.7,
        flagged_threshold=90.0,
        trusted_class_counts=[30, 10],
        suspects=(make_suspect(1), make_suspect(2, poisoned=False)),
        poisoned_examples=(make_example("zero", "one"),),
        rounds=(Round(1, 0.8, 0.5), Round(2, 0.9, 0.003)),
        class_names=("zero", "one"),
    )
    return dataclasses.replace(data, **changes)


def named_data(names: tuple[str, ...]) -> ReportData:
    """Returns data whose every text is one of some names."""
    texts = dict(zip(names, names, strict=True))
    named_result = {
        "recipe": names[0],
        "notes": list(names),
        "artifacts": texts,
        "versions": texts,
        "report": names[0],
        "seconds": dict.fromkeys(names, 1.0),
    }
    suspects = tuple(make_suspect(rank, name) for rank, name in enumerate(names, 1))
    return report_data(
        result=named_result,
        config=texts,
        class_names=names,
        trusted_class_counts=[1] * len(names),
        suspects=suspects,
        poisoned_examples=tuple(make_example(name, name) for name in names),
    )
