"""What detection says of a dataset: the verdict, the flagged samples, and the evidence of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_defense.detectors.decision.verdict import Outcome

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Detection:
    """The answer of detectors and a decision; nothing in it knows the truth.

    Attributes:
        recipe: The name of the recipe.
        seed: Of the run.
        verdict: Whether there is evidence of a backdoor; None for a decision that only ranks, such
            as `fractions`, whose flagged samples are candidates and no finds.
        flagged: The indices of the flagged samples, int64, ascending.
        labels_suspected: The labels that poisoned samples carry, ascending.
        power: What planted canaries show, as in `verdict.json`; None where it was not measured.
        counts: Samples of each part of the split: trusted, flagged, uncertain.
        files: The path of each file, by its name.
        notes: What a reader should doubt.
        columns: One row a sample, by column: index, label, split, and what detectors say.
        details: All of `verdict.json`; empty without a verdict.
    """

    recipe: str
    seed: int
    verdict: Outcome | None
    flagged: np.ndarray
    labels_suspected: tuple[int, ...]
    power: Mapping[str, Any] | None
    counts: Mapping[str, int]
    files: Mapping[str, str]
    notes: tuple[str, ...]
    columns: Mapping[str, np.ndarray]
    details: Mapping[str, Any]

    def samples(self) -> "pd.DataFrame":
        """Returns the table of samples by ascending index: index, label, split, and evidence."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))
