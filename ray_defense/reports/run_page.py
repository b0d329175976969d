"""The offline report of a run: one self-contained HTML page without a script.

It shows the run's numbers, its most suspicious samples and its configuration.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import escape

from ray_defense.core.errors import InputError
from ray_defense.reports import figures
from ray_defense.reports.page_template import format_percent, load_template

FOUND_AUROC = 0.95  # from here on the headline says "found"
CHANCE_AUROC = 0.6  # up to here it says "not found"


@dataclass(frozen=True, eq=False)
class Suspect:
    """A sample among the most suspicious, with its transformed version."""

    index: int
    rank: int  # 1 is the most suspicious
    score: float
    label: str
    image: np.ndarray  # uint8 [H, W, 3]
    transformed: np.ndarray  # uint8 [H, W, 3], tau(x) of Eq. (1)
    poisoned: bool | None  # None: no truth
    origin: str  # where the sample came from, in its owner's words


@dataclass(frozen=True, eq=False)
class Example:
    """A poisoned training sample beside its clean original."""

    index: int
    label: str
    original_label: str
    image: np.ndarray  # uint8 [H, W, 3]
    clean_image: np.ndarray  # uint8 [H, W, 3]


@dataclass(frozen=True)
class Round:
    """The test rates after one round of D-BR (Algorithm 4)."""

    number: int
    acc: float  # in [0, 1]
    asr: float | None  # in [0, 1]; None: no triggered test set


@dataclass(frozen=True, eq=False)
class ReportData:
    """All that the report shows.

    Raises:
        InputError: If the parts do not fit together.
    """

    result: dict[str, Any]  # the content of result.json
    config: dict[str, Any]  # the configuration tree as plain data
    scores: np.ndarray  # float64 [N], larger is more suspicious
    poisoned: np.ndarray | None  # bool [N], the truth; None: there is none
    trusted_threshold: float  # largest score of the trusted split
    flagged_threshold: float  # smallest score of the flagged split
    trusted_class_counts: list[int]  # [number of classes]
    suspects: tuple[Suspect, ...]
    poisoned_examples: tuple[Example, ...]
    rounds: tuple[Round, ...]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or not len(self.scores):
            raise InputError(
                f"scores must have shape [N], N > 0, not {list(self.scores.shape)}: "
                "run the detect stage"
            )
        if not np.isfinite(self.scores).all():
            num_bad = (~np.isfinite(self.scores)).sum()
            raise InputError(f"{num_bad} scores are not finite: run the detect stage again")
        if self.poisoned is not None and len(self.poisoned) != len(self.scores):
            raise InputError(
                f"{len(self.poisoned)} rows of truth for {len(self.scores)} scores: "
                "give this dataset's own"
            )
        num_counts = len(self.trusted_class_counts)
        num_names = len(self.class_names)
        if num_counts != num_names:
            raise InputError(
                f"{num_counts} class counts for {num_names} class names: "
                "give one of each for every class"
            )


def render_run_page(data: ReportData) -> str:
    """Returns the HTML page of a run.

    The same data give the same text. Every name in the data is shown as plain text, whatever
    characters it holds.
    """
    num_poisoned = None
    roc = None
    if data.poisoned is not None:
        num_poisoned = int(data.poisoned.sum())
        if 0 < num_poisoned < len(data.poisoned):
            roc = figures.draw_roc_curve(data.scores, data.poisoned)
    histogram = figures.draw_score_histogram(
        data.scores,
        data.poisoned,
        trusted_threshold=data.trusted_threshold,
        flagged_threshold=data.flagged_threshold,
    )
    return load_template("run.html.j2").render(
        data=data,
        result=data.result,
        headline=headline(data),
        num_poisoned=num_poisoned,
        models=_titled_rates(data.result),
        found_auroc=FOUND_AUROC,
        chance_auroc=CHANCE_AUROC,
        balance=figures.draw_class_balance(data.trusted_class_counts, data.class_names),
        histogram=histogram,
        roc=roc,
        many_classes=len(data.class_names) > figures.MAX_NAMED_CLASSES,
        repair=_draw_repair(data.rounds),
        config=escape(json.dumps(data.config, indent=2)),
    )


def headline(data: ReportData) -> str:
    """Returns the outcome of a run in plain words.

    It says only what the numbers say; without a truth it does not say that anything was found.
    """
    return "; ".join([_detection_outcome(data), *_repair_outcomes(data.result)])


def _detection_outcome(data: ReportData) -> str:
    if data.scores.min() == data.scores.max():
        return "Not assessable: all scores are equal"
    if data.poisoned is None:
        return "No truth to compare with: the highest scores are candidates, not finds"
    if not data.poisoned.any():
        return "No sample is poisoned: whatever the split flags is a false alarm"
    if data.poisoned.all():
        return "Every sample is poisoned: there is no clean one to tell apart"
    auroc = data.result["score"]["auroc"]
    if auroc is None:
        return "The score was not compared with the truth"
    if auroc >= FOUND_AUROC:
        outcome = "found"
    elif auroc > CHANCE_AUROC:
        outcome = "partly found"
    else:
        outcome = "not found"
    return f"Backdoor {outcome}: AUROC {auroc:.3f}"


def _repair_outcomes(result: dict[str, Any]) -> list[str]:
    """Returns what each defense left of the backdoor, where that was measured."""
    outcomes = []
    for name, rates in result["models"].items():
        if name == "backdoored" or rates["asr"] is None:
            continue
        outcome = f"{rates['title']} leaves ASR {format_percent(rates['asr'])}"
        if rates["acc"] is not None:
            outcome += f" at ACC {format_percent(rates['acc'])}"
        outcomes.append(outcome)
    return outcomes


def _titled_rates(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Returns the title and the rates of each model, the backdoored one first."""
    titled = []
    for name in sorted(result["models"], key=lambda name: name != "backdoored"):
        rates = result["models"][name]
        title = rates["title"]
        titled.append((title[:1].upper() + title[1:], rates))
    return titled


def _draw_repair(rounds: Sequence[Round]) -> str | None:
    if not rounds:
        return None
    numbers = []
    acc = []
    asr = []
    for measured in rounds:
        numbers.append(measured.number)
        acc.append(measured.acc)
        asr.append(measured.asr)
    return figures.draw_repair_curve(numbers, acc, asr)
