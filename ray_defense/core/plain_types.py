"""Whether plain data that a file of JSON held has the types of a dataclass."""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any


def mismatch_of(hint: Any, value: Any, path: str) -> str | None:
    """Returns what in plain data does not fit a type, or None.

    Args:
        hint: The type: a dataclass, a list, a tuple of any length, a dict of texts, a union, a
            literal, anything, or a plain type. A whole number is a float too; no float is infinite.
        value: What JSON gave.
        path: Where the value stands, for the answer.
    """
    origin = typing.get_origin(hint)
    options = typing.get_args(hint)
    if hint is Any:
        return None
    if origin is typing.Literal:
        return None if value in options else f"{path} is none of {', '.join(map(str, options))}"
    if origin in (types.UnionType, typing.Union):
        found = [mismatch_of(option, value, path) for option in options]
        return None if None in found else found[0]
    if dataclasses.is_dataclass(hint):
        return _mismatch_of_fields(hint, value, path)
    if origin in (list, tuple) and isinstance(value, list):
        members = ((f"{path}[{number}]", item) for number, item in enumerate(value))
        return _first_mismatch(options[0], members)
    if origin is dict and isinstance(value, dict):
        return _first_mismatch(options[1], ((f"{path}.{key}", value[key]) for key in value))
    if hint is float and type(value) in (int, float):
        return None if abs(value) <= 1e300 and not math.isnan(value) else f"{path} is not finite"
    plain = type(None) if hint is None else hint
    return None if type(value) is plain else f"{path} is no {_name_of(hint)}"


def _mismatch_of_fields(kind: Any, value: Any, path: str) -> str | None:
    if not isinstance(value, Mapping):
        return f"{path} is no object"
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if field.name not in value:
            if field.default is field.default_factory is dataclasses.MISSING:
                return f"{path}.{field.name} is missing"
            continue
        found = mismatch_of(hints[field.name], value[field.name], f"{path}.{field.name}")
        if found is not None:
            return found
    unknown = [key for key in value if key not in hints]
    return f"{path}.{unknown[0]} is unknown" if unknown else None


def _first_mismatch(hint: Any, members: Iterable[tuple[str, Any]]) -> str | None:
    for path, item in members:
        found = mismatch_of(hint, item, path)
        if found is not None:
            return found
    return None


def _name_of(hint: Any) -> str:
    return getattr(typing.get_origin(hint) or hint, "__name__", str(hint))
