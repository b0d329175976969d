"""Plain data fit a type, or the first value that does not is named."""

from dataclasses import dataclass
from typing import Literal

import pytest

from ray_defense.core.plain_types import mismatch_of


@dataclass(frozen=True)
class Bounds:
    low: int
    high: float = 1.0


@dataclass(frozen=True)
class Page:
    kind: Literal["a", "b"]
    bounds: Bounds | None
    names: tuple[str, ...]
    counts: dict[str, list[int]]


PAGE = {"kind": "a", "bounds": {"low": 1, "high": 2}, "names": ["x"], "counts": {"y": [1, 2]}}


@pytest.mark.parametrize(
    "changes", [{}, {"bounds": None}, {"bounds": {"low": 3}}, {"names": []}, {"counts": {}}]
)
def test_what_fits_has_no_mismatch(changes: dict[str, object]):
    assert mismatch_of(Page, {**PAGE, **changes}, "page") is None


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"kind": "c"}, "page.kind is none of a, b"),
        ({"bounds": {}}, "page.bounds.low is missing"),
        ({"bounds": {"low": True}}, "page.bounds.low is no int"),
        ({"bounds": {"low": 1.0}}, "page.bounds.low is no int"),
        ({"bounds": {"low": 1, "high": float("nan")}}, "page.bounds.high is not finite"),
        ({"bounds": {"low": 1, "high": 10**400}}, "page.bounds.high is not finite"),
        ({"bounds": 3}, "page.bounds is no object"),
        ({"names": "x"}, "page.names is no tuple"),
        ({"names": ["x", None]}, "page.names[1] is no str"),
        ({"counts": {"y": [1, "2"]}}, "page.counts.y[1] is no int"),
        ({"more": 1}, "page.more is unknown"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], found: str):
    assert mismatch_of(Page, {**PAGE, **changes}, "page") == found


def test_what_is_missing_is_named():
    assert mismatch_of(Page, {"kind": "a"}, "page") == "page.bounds is missing"
    assert mismatch_of(Page, [], "page") == "page is no object"
