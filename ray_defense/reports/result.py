"""The numbers of one run: what `result.json` holds and the table shows; rates are fractions in [0, 1]."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ScoreResult:
    """How well the score tells poisoned from clean samples; None without truth."""

    auroc: float | None
    trusted_precision: float | None
    poisoned_precision: float | None
    trusted_class_counts: list[int]


@dataclass(frozen=True)
class ModelResult:
    """One model on the test set; None where there is no test set or no trigger. Intervals: 95 % Clopper-Pearson."""

    acc: float | None
    asr: float | None
    n_clean: int
    n_triggered: int
    acc_interval: list[float] | None
    asr_interval: list[float] | None
    acc_target_excluded: float | None  # D8
    rounds: list[dict[str, float | None]] | None = None  # D-BR: ACC and ASR after each round, for the curves only (D7)


@dataclass(frozen=True)
class Defended:
    """What there is of a run before anything is compared with truth or test set."""

    recipe: str
    seed: int
    counts: dict[str, int]  # of the split: trusted, poisoned, uncertain
    files: dict[str, str]  # split.parquet, and the weights of each model -> path
    notes: list[str]  # what a reader should doubt


@dataclass(frozen=True)
class Result:
    """All that a run found, and where it is."""

    recipe: str
    seed: int
    score: ScoreResult
    backdoored: ModelResult | None
    d_br: ModelResult | None
    d_st: ModelResult | None
    weak_attack: bool | None  # backdoored ASR under 85 %: the paper leaves such attacks out; None without an attack
    seconds: dict[str, float]  # per stage
    artifacts: dict[str, str]  # stage -> path
    report: str
    versions: dict[str, str]
    notes: list[str] = field(default_factory=list)  # what a reader should doubt

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Result":
        """Returns the result that `result.json` describes."""
        models = {name: plain[name] and ModelResult(**plain[name]) for name in ("backdoored", "d_br", "d_st")}
        return cls(**(plain | models | {"score": ScoreResult(**plain["score"])}))
