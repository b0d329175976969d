"""Checks of a parameter where it enters: each error names it, its value and its range."""

from collections.abc import Sequence

from ray_defense.core.errors import InputError


def check_in_range(name: str, value: float, low: float, high: float) -> None:
    """Raises InputError unless low <= value <= high."""
    if not low <= value <= high:
        raise InputError(f"{name} must lie in [{low}, {high}], not {value!r}")


def check_at_least(name: str, value: float, low: float) -> None:
    """Raises InputError unless value >= low."""
    if not value >= low:
        raise InputError(f"{name} must be at least {low}, not {value!r}")


def check_distinct(name: str, values: Sequence[str]) -> None:
    """Raises InputError if a value is there twice."""
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{name} holds {value} {values.count(value)} times: name it once")
