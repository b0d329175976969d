"""Which detectors agree: the most suspicious samples that two columns share, and their ranks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

EMPTY_SHARE = 0.05  # of the samples count as the most suspicious where none is flagged


@dataclass(frozen=True)
class Agreement:
    """How far the columns of the evidence agree, two by two.

    Attributes:
        columns: The names of the M columns.
        num_top: How many of its most suspicious samples each column is asked for.
        expected: The share of those that two unrelated columns would have in common, in [0, 1].
        shared: The share that they have in common, [M][M], in [0, 1]; None where either column has
            no order: all of its values are equal.
        spearman: The rank correlation over all samples, [M][M], in [-1, 1]; None as above.
    """

    columns: tuple[str, ...]
    num_top: int
    expected: float
    shared: tuple[tuple[float | None, ...], ...]
    spearman: tuple[tuple[float | None, ...], ...]


def measure_agreement(columns: Mapping[str, np.ndarray], num_flagged: int) -> Agreement:
    """Returns how far columns agree, on as many samples as are flagged and on all of them.

    Args:
        columns: The evidence, float64 [N] by name, larger is more suspicious. A value that is not
            finite ranks last.
        num_flagged: How many samples are flagged; where none is, 5 % of the samples are asked for.
    """
    num_samples = len(next(iter(columns.values()), ()))
    num_top = num_flagged or math.ceil(EMPTY_SHARE * num_samples)
    tops = {}
    ranks = {}
    for name, values in columns.items():
        finite = np.where(np.isfinite(values), values, -np.inf)
        if num_samples and finite.min() < finite.max():
            order = np.argsort(-finite, kind="stable")
            tops[name] = np.isin(np.arange(num_samples), order[:num_top])
            ranks[name] = _standard_ranks(finite)
    shared = []
    spearman = []
    for first in columns:
        shared_row: list[float | None] = []
        spearman_row: list[float | None] = []
        for second in columns:
            if first in ranks and second in ranks:
                shared_row.append(float((tops[first] & tops[second]).sum() / num_top))
                correlation = float(np.mean(ranks[first] * ranks[second]))
                spearman_row.append(min(max(correlation, -1.0), 1.0))
            else:
                shared_row.append(None)
                spearman_row.append(None)
        shared.append(tuple(shared_row))
        spearman.append(tuple(spearman_row))
    return Agreement(
        columns=tuple(columns),
        num_top=num_top,
        expected=num_top / max(num_samples, 1),
        shared=tuple(shared),
        spearman=tuple(spearman),
    )


def _standard_ranks(values: np.ndarray) -> np.ndarray:
    """Returns the ranks of values that are not all equal, with mean 0 and variance 1."""
    from scipy.stats import rankdata

    ranks = rankdata(values)
    standard: np.ndarray = (ranks - ranks.mean()) / ranks.std()
    return standard
