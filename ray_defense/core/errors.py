"""The errors a user may see: one line with what was wrong, the value, and the remedy."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class RayDefenseError(Exception):
    """The base of every error a user may see; `args` hold only plain values, so it pickles."""

    exit_code = 3


class InputError(RayDefenseError):
    """The input or the request cannot be worked on; nothing was started (exit code 2)."""

    exit_code = 2


class RunError(RayDefenseError):
    """The work was started and could not be finished (exit code 3)."""


class DamageError(RunError):
    """A file of the store is not what was written; it is never used (exit code 3)."""

    @classmethod
    def of(cls, file: object, damage: str, remove: object) -> "DamageError":
        """Returns the error of a file.

        Args:
            file: The file.
            damage: What is wrong with it ("is damaged").
            remove: What the user has to remove, so that a run makes it again.
        """
        return cls(f"{file} {damage}: remove {remove} and run again")


class TrialStopped(Exception):
    """A scheduler ends the trial of a sweep early; the trial itself did nothing wrong."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> InputError:
    """Returns the error for a name that is not among the known ones.

    Args:
        kind: What the name should name, for the message ("attack", "option").
        name: The unknown name.
        known: The names that would have been accepted.

    Returns:
        An `InputError` that suggests the nearest known name, or lists all of them.
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else "known: " + ", ".join(names)
    return InputError(f"unknown {kind} {name!r}: {hint}")


def look_up(registry: Mapping[str, Value], kind: str, name: object) -> Value:
    """Returns `registry[name]`.

    Raises:
        InputError: If there is no such name; the message suggests the nearest one.
    """
    if not isinstance(name, str) or name not in registry:
        raise unknown_name(kind, name, registry)
    return registry[name]
