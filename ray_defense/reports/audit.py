"""What an audit says of a dataset, and the folder that holds it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_defense.detectors.decision.verdict import Outcome

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

EXIT_CODES: dict[Outcome, int] = {"no evidence": 0, "evidence": 10, "not assessable": 20}


@dataclass(frozen=True, eq=False)
class Audit:
    """The answer to the question whether a training set holds a backdoor.

    Attributes:
        verdict: Whether there is evidence of a backdoor.
        headline: The verdict as a sentence.
        flagged: The indices of the flagged samples, int64, ascending.
        classes_suspected: The names of the classes that poisoned samples carry.
        power: What planted canaries show, as in `verdict.json`; None where it was not measured.
        num_rejected: Files that could not be read and were not audited.
        choices: What was recognized and chosen, in words by what it is about.
        notes: What a reader should doubt.
        out: The folder that holds everything.
        report: The path of the report.
        seconds: That the work took, whenever it was done.
        num_cached: Stages that were in the store already.
        num_stages: All stages.
        details: All of `verdict.json`.
        columns: The table of samples, by column; rows by ascending rank.
        images_of: Returns images as the detectors saw them, uint8 [n, H, W, 3], by their indices.
    """

    verdict: Outcome
    headline: str
    flagged: np.ndarray
    classes_suspected: tuple[str, ...]
    power: Mapping[str, Any] | None
    num_rejected: int
    choices: Mapping[str, str]
    notes: tuple[str, ...]
    out: Path
    report: Path
    seconds: float
    num_cached: int
    num_stages: int
    details: Mapping[str, Any]
    columns: Mapping[str, Any]
    images_of: Callable[[np.ndarray], np.ndarray]

    @property
    def exit_code(self) -> int:
        """What the command line returns: 0 no evidence, 10 evidence, 20 not assessable."""
        return EXIT_CODES[self.verdict]

    def samples(self) -> "pd.DataFrame":
        """Returns the table of samples by rank: file, class, split, rank, and the evidence."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns))

    def detect_poison(self) -> tuple[dict[str, Any], list[int]]:
        """Returns what `detect_poison` of the Adversarial Robustness Toolbox returns.

        Returns:
            A report, here the content of `verdict.json`; and for each sample of the data in its
            order 1 if it is clean as far as is known, 0 if it is flagged or could not be read.
        """
        num_samples = len(self.columns["index"]) + self.num_rejected
        is_clean = np.zeros(num_samples, dtype=np.int64)
        is_clean[self.columns["index"]] = 1
        is_clean[self.flagged] = 0
        return dict(self.details), is_clean.tolist()

    def show(self, num_images: int = 40) -> "Figure":
        """Returns a figure of the samples that are the most suspicious.

        Args:
            num_images: At most so many.
        """
        from ray_defense.reports.audit_figure import draw_samples

        num_shown = max(1, num_images)
        images = self.images_of(self.columns["index"][:num_shown])
        return draw_samples(images, self.columns["class"][:num_shown])

    def __repr__(self) -> str:
        return f"Audit({self.headline!r}, report={str(self.report)!r})"

    def _repr_html_(self) -> str:
        """Returns what a notebook shows, with styles of its own."""
        rows = []
        for name, value in (
            ("verdict", self.headline),
            ("suspected classes", ", ".join(self.classes_suspected) or "none"),
            ("rejected files", str(self.num_rejected)),
            ("report", str(self.report)),
        ):
            rows.append(
                f"<tr><th style='all:revert;text-align:left'>{escape(name)}</th>"
                f"<td style='all:revert;text-align:left'>{escape(value)}</td></tr>"
            )
        return f"<table style='all:revert'>{''.join(rows)}</table>"


def headline_of(details: Mapping[str, Any], class_names: tuple[str, ...]) -> str:
    """Returns the verdict as one sentence.

    Args:
        details: The content of `verdict.json`.
        class_names: By label.
    """
    num_samples = details["num_samples"]
    if details["verdict"] == "not assessable":
        reasons = "; ".join(details["reasons"]) or "no detector could be counted"
        return f"not assessable: {reasons}"
    if details["verdict"] == "no evidence":
        line = f"no evidence of a backdoor among {num_samples:,} images"
        if details["power"] is None:
            return f"{line} (the power of this was not measured)"
        return f"{line} ({power_sentence(details['power'])})"
    line = f"evidence of a backdoor: {details['num_flagged']:,} of {num_samples:,} images flagged"
    interval = details["num_poisoned"]
    if interval is not None:
        line += f", {interval['low']:,} to {interval['high']:,} of them poisoned"
    labels = details["labels_suspected"]
    if labels:
        names = ", ".join(repr(class_names[label]) for label in labels)
        line += f"; suspected: {names}"
    return line


def power_sentence(power: Mapping[str, Any]) -> str:
    """Returns what share of planted canaries was found, over all kinds."""
    num_planted = sum(canary["num_planted"] for canary in power["canaries"])
    num_found = sum(canary["num_found"] for canary in power["canaries"])
    return f"{num_found:,} of {num_planted:,} planted canaries were found"
