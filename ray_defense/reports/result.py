"""The numbers of one run: what `result.json` holds and the table shows.

Rates are fractions in [0, 1]. The schema of the file is `docs/result.schema.json`.
"""

from dataclasses import dataclass, field
from typing import Any

from ray_defense.core.plain_types import mismatch_of


@dataclass(frozen=True)
class ScoreResult:
    """How well the scores tell poisoned from clean samples; None without a truth."""

    auroc: float | None
    trusted_precision: float | None  # clean samples among the trusted
    flagged_precision: float | None  # poisoned samples among the flagged
    trusted_class_counts: list[int]


@dataclass(frozen=True)
class ModelResult:
    """One model on the test set; None where there is no test set or no trigger.

    Intervals are 95 % Clopper-Pearson.
    """

    title: str  # how tables and reports call the model
    acc: float | None
    asr: float | None
    num_clean: int
    num_triggered: int
    acc_interval: list[float] | None
    asr_interval: list[float] | None
    acc_target_excluded: float | None  # D8
    robust_acc: float | None = None  # of triggered test images, on their true labels
    robust_acc_interval: list[float] | None = None
    relapse: dict[str, float | None] | None = None  # ACC and ASR after a few poisoned samples
    rounds: list[dict[str, float | None]] | None = None  # of D-BR, for the curves only (D7)


@dataclass(frozen=True)
class DefendedResult:
    """What there is of a run before anything is compared with truth or test set."""

    recipe: str
    seed: int
    counts: dict[str, int]  # of the split: trusted, flagged, uncertain
    files: dict[str, str]  # path of the split and of each model that is of use
    notes: list[str]  # what a reader should doubt
    sentences: list[str] = field(default_factory=list)  # what became of a model of the user
    load_line: str = ""  # the Python that loads it, repaired, into the user's own network


@dataclass(frozen=True)
class Result:
    """All that a run found, and where it is."""

    recipe: str
    seed: int
    score: ScoreResult
    models: dict[str, ModelResult]  # "backdoored" and each defense, by name
    weak_attack: bool | None  # ASR of the backdoored model under 85 %; None without an attack
    seconds: dict[str, float]  # of each stage
    artifacts: dict[str, str]  # path of each stage's artifact
    report: str
    versions: dict[str, str]
    notes: list[str] = field(default_factory=list)  # what a reader should doubt
    verdict: str | None = None  # as in verdict.json; None where the decision only ranks

    @property
    def backdoored(self) -> ModelResult | None:
        """The backdoored model."""
        return self.models.get("backdoored")

    @property
    def d_br(self) -> ModelResult | None:
        """The model that D-BR repaired."""
        return self.models.get("d_br")

    @property
    def d_st(self) -> ModelResult | None:
        """The model that D-ST trained."""
        return self.models.get("d_st")

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Result":
        """Returns the result that the content of a `result.json` describes.

        Raises:
            ValueError: If it describes none; the text names the value.
        """
        mismatch = mismatch_of(cls, plain, "result")
        if mismatch is not None:
            raise ValueError(mismatch)
        models = {name: ModelResult(**rates) for name, rates in plain["models"].items()}
        return cls(**{**plain, "models": models, "score": ScoreResult(**plain["score"])})
