"""Checks of a parameter where it enters: each raises Refused with the name, the value and the range."""

from ray_defense.core.errors import Refused


def in_range(name: str, value: float, low: float, high: float) -> None:
    """Raises Refused unless low <= value <= high."""
    if not low <= value <= high:
        raise Refused(f"{name} must lie in [{low}, {high}], not {value!r}")


def at_least(name: str, value: float, low: float) -> None:
    """Raises Refused unless value >= low."""
    if not value >= low:
        raise Refused(f"{name} must be at least {low}, not {value!r}")
