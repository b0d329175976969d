"""Samples that the user vouches for: never flagged, always trusted, a reference for the others.

They are taken out before a decision counts anything, so they change no test of the rest, and come
back as trusted. Shapes: N samples, of which M are judged.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.detectors.decision.protocol import Decided, EvidenceTable
from ray_defense.scores.split import SplitPositions


def vouched_samples(
    index: np.ndarray, labels: np.ndarray, hashes: Sequence[str], first_vouched: int
) -> np.ndarray:
    """Returns which samples are vouched for, bool [N].

    They are those from an index on, and those with the same pixels and the same label as one of
    these.

    Args:
        index: int64 [N], ascending.
        labels: int64 [N].
        hashes: Of the pixels of each sample.
        first_vouched: The index of the first sample that the user gave as trusted.
    """
    given_N = index >= first_vouched
    pairs = list(zip(hashes, labels.tolist(), strict=True))
    given = {pairs[position] for position in np.flatnonzero(given_N)}
    return np.array([pair in given for pair in pairs], bool)


def set_vouched_aside(table: EvidenceTable, vouched_N: np.ndarray) -> EvidenceTable:
    """Returns the evidence of the judged samples, with that of the others as their reference.

    Raises:
        InputError: If nothing is left to be judged.
    """
    if vouched_N.all():
        raise InputError(
            "all images are trusted, so none is left to be judged: give as trusted some that you "
            "looked at, and not the data"
        )
    judged = _rows_of(table, ~vouched_N)
    return replace(judged, vouched=_rows_of(table, vouched_N))


def with_vouched(decided: Decided, vouched_N: np.ndarray) -> Decided:
    """Returns a decision on judged samples as one on all: the others are trusted.

    Their score is the lowest of all, so that they rank last.
    """
    judged = np.flatnonzero(~vouched_N)
    positions = decided.positions
    trusted = np.concatenate([judged[positions.trusted], np.flatnonzero(vouched_N)])
    scores = np.full(len(vouched_N), decided.scores.min())
    scores[judged] = decided.scores
    findings = {}
    for name, values in decided.findings.items():
        findings[name] = np.zeros(len(vouched_N), values.dtype)
        findings[name][judged] = values
    note = (
        f"{vouched_N.sum()} of the {len(vouched_N)} images are trusted by their user: they are "
        "not judged, and their score is set to the lowest"
    )
    return replace(
        decided,
        positions=SplitPositions(
            np.sort(trusted), judged[positions.flagged], judged[positions.uncertain]
        ),
        scores=scores,
        findings=findings,
        notes=[*decided.notes, note],
    )


def _rows_of(table: EvidenceTable, chosen_N: np.ndarray) -> EvidenceTable:
    return replace(
        table,
        index=table.index[chosen_N],
        labels=table.labels[chosen_N],
        columns={name: values[chosen_N] for name, values in table.columns.items()},
    )
