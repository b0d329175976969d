"""What can go wrong, said in one line: what was wrong, the value, and the remedy."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class RayDefenseError(Exception):
    """Base of every error a user may see; `args` hold only plain values, so it survives pickling."""

    exit_code = 3


class Refused(RayDefenseError):
    """The input or the request cannot be worked on: nothing was started (exit code 2)."""

    exit_code = 2


class Failed(RayDefenseError):
    """The work was started and could not be finished (exit code 3)."""


def unknown(kind: str, name: object, known: Iterable[str]) -> Refused:
    """Returns the refusal of a name that is not among `known`, with the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(names)
    return Refused(f"unknown {kind} {name!r}: {hint}")


def look_up(registry: Mapping[str, Value], kind: str, name: object) -> Value:
    """Returns `registry[name]`; raises Refused naming the nearest known name."""
    if not isinstance(name, str) or name not in registry:
        raise unknown(kind, name, registry)
    return registry[name]
