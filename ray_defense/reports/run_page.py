"""The offline report: one self-contained HTML page of a run's numbers, suspects and configuration, without a script."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from ray_defense.core.errors import Refused
from ray_defense.reports import figures

FOUND_AUROC = 0.95  # from here on the headline says "found"
CHANCE_AUROC = 0.6  # up to here it says "not found"
MODELS = {"backdoored": "Backdoored model", "d_br": "D-BR", "d_st": "D-ST"}


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
    """All that the report shows; raises Refused when its parts do not fit together."""

    result: dict[str, Any]  # the content of result.json
    config: dict[str, Any]  # the configuration tree as plain data
    scores: np.ndarray  # float64 [N], larger is more suspicious
    poisoned: np.ndarray | None  # bool [N], the truth; None: there is none
    trusted_threshold: float  # largest score of the trusted split
    poisoned_threshold: float  # smallest score of the poisoned split
    trusted_class_counts: list[int]  # [number of classes]
    suspects: tuple[Suspect, ...]
    poisoned_examples: tuple[Example, ...]
    rounds: tuple[Round, ...]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.scores.ndim != 1 or not len(self.scores):
            raise Refused(f"scores must have shape [N], N > 0, not {list(self.scores.shape)}: run the score stage")
        if not np.isfinite(self.scores).all():
            raise Refused(f"{(~np.isfinite(self.scores)).sum()} scores are not finite: run the score stage again")
        if self.poisoned is not None and len(self.poisoned) != len(self.scores):
            raise Refused(f"{len(self.poisoned)} rows of truth for {len(self.scores)} scores: give this dataset's own")
        counts, names = len(self.trusted_class_counts), len(self.class_names)
        if counts != names:
            raise Refused(f"{counts} class counts for {names} class names: give one of each for every class")


def template(name: str) -> Template:
    """Returns a template in which every value comes out inert, with the filters that pages share."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "interval": _interval, "number": _number, "duration": _duration}
    environment.filters |= {"png": figures.png_uri, "svg": figures.svg_uri}
    return environment.get_template(name)


def render(data: ReportData) -> str:
    """Returns the HTML page of `data`; the same data give the same text, and every name in it is inert."""
    poisoned = data.poisoned
    both = poisoned is not None and bool(poisoned.any()) and not bool(poisoned.all())
    histogram = figures.score_histogram(data.scores, poisoned, data.trusted_threshold, data.poisoned_threshold)
    rounds = data.rounds
    return template("report.html.j2").render(
        data=data,
        result=data.result,
        headline=headline(data),
        num_poisoned=None if poisoned is None else int(poisoned.sum()),
        models=[(title, data.result[key]) for key, title in MODELS.items() if data.result.get(key)],
        found_auroc=FOUND_AUROC,
        chance_auroc=CHANCE_AUROC,
        balance=figures.class_balance(data.trusted_class_counts, data.class_names),
        histogram=histogram,
        roc=figures.roc(data.scores, poisoned) if both else None,
        many_classes=len(data.class_names) > figures.MOST_NAMED_CLASSES,
        repair=figures.repair_curve(*zip(*((r.number, r.acc, r.asr) for r in rounds), strict=True)) if rounds else None,
        config=escape(json.dumps(data.config, indent=2)),
    )


def headline(data: ReportData) -> str:
    """Returns the run's outcome in plain words: only what the numbers say, and no find where there is no truth."""
    return "; ".join([_find(data), *_repairs(data.result)])


def _find(data: ReportData) -> str:
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
    words = "found" if auroc >= FOUND_AUROC else "partly found" if auroc > CHANCE_AUROC else "not found"
    return f"Backdoor {words}: AUROC {auroc:.3f}"


def _repairs(result: dict[str, Any]) -> Iterator[str]:
    for key in ("d_br", "d_st"):
        rates = result.get(key)
        if rates and rates["asr"] is not None:
            at = "" if rates["acc"] is None else f" at ACC {_percent(rates['acc'])}"
            yield f"{MODELS[key]} leaves ASR {_percent(rates['asr'])}{at}"


def _visible(value: Any) -> Any:
    """Returns a text with what is not printable (newlines, escapes, reversed writing, lone surrogates) written out."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    shown = (char if char.isprintable() or char == "\xa0" else char.encode("unicode_escape").decode() for char in value)
    return "".join(shown)


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{100 * rate:.1f}\xa0%"


def _interval(bounds: list[float] | None) -> str:
    return "" if bounds is None or None in bounds else f"{100 * bounds[0]:.1f} – {100 * bounds[1]:.1f}\xa0%"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
