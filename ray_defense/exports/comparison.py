"""Two finished runs side by side: configuration, verdict, counts, and who is flagged by both."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.data.split_table import PARTS
from ray_defense.exports.finished_run import FinishedRun, open_run

MISSING = "-"  # of a value that only the other configuration has


@dataclass(frozen=True)
class Comparison:
    """What two runs differ in; every pair is (first, second).

    Attributes:
        settings: The values of the configuration that differ, by dotted path.
        configured: Whether the configuration of each run is known.
        verdicts: As in `verdict.json`; None for a decision that only ranks.
        counts: The samples of each part.
        both: The indices that both flag, ascending.
        only_first: The indices that only the first flags.
        only_second: The indices that only the second flags.
        same_data: Whether both are of one dataset; without that an index may mean two samples.
    """

    settings: Mapping[str, tuple[Any, Any]]
    configured: tuple[bool, bool]
    verdicts: tuple[str | None, str | None]
    counts: Mapping[str, tuple[int, int]]
    both: np.ndarray
    only_first: np.ndarray
    only_second: np.ndarray
    same_data: bool

    @property
    def overlap(self) -> float | None:
        """The samples that both flag, of those that either flags; None where none are flagged."""
        num_either = len(self.both) + len(self.only_first) + len(self.only_second)
        return len(self.both) / num_either if num_either else None


def compare_runs(first: str | Path, second: str | Path) -> Comparison:
    """Compares two runs, each of them as `open_run` finds it.

    Raises:
        InputError: If there is no such run.
        DamageError: If a file of a store is damaged.
    """
    return _compare(open_run(first), open_run(second))


def _compare(first: FinishedRun, second: FinishedRun) -> Comparison:
    values = dict(_leaves(first.configuration))
    others = dict(_leaves(second.configuration))
    configured = (bool(first.configuration), bool(second.configuration))
    settings = {}
    if all(configured):
        for path in sorted({*values, *others}):
            pair = (values.get(path, MISSING), others.get(path, MISSING))
            if pair[0] != pair[1]:
                settings[path] = pair
    counts = {}
    for part in PARTS:
        counts[part] = (first.count(part), second.count(part))
    return Comparison(
        settings=settings,
        configured=configured,
        verdicts=(first.verdict, second.verdict),
        counts=counts,
        both=np.intersect1d(first.flagged, second.flagged),
        only_first=np.setdiff1d(first.flagged, second.flagged),
        only_second=np.setdiff1d(second.flagged, first.flagged),
        same_data=first.dataset == second.dataset,
    )


def _leaves(plain: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each value of plain data with its dotted path; units of a list go by their kind."""
    if isinstance(plain, Mapping) and plain:
        for key, value in plain.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(plain, list) and plain and all(isinstance(item, Mapping) for item in plain):
        for number, item in enumerate(plain):
            yield from _leaves(item, f"{path}.{item.get('kind', number)}")
    else:
        yield path, plain
