"""Configuration is a tree of frozen dataclasses: as plain data, as a fingerprint, and with one field replaced."""

import ast
import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ray_defense.core.errors import Refused, look_up, unknown

Config = TypeVar("Config")


def choice(registry: Mapping[str, Any], **kwargs: Any) -> Any:
    """Returns a dataclass field whose value is an instance (or a tuple of instances) of a class, or an entry, of `registry`."""
    return dataclasses.field(metadata={"registry": registry}, **kwargs)


def to_plain(value: Any) -> Any:
    """Returns `value` as JSON data; a registered unit carries its name under `kind`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {"kind": value.name} if isinstance(getattr(type(value), "name", None), str) else {}
        return named | {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def canonical_json(value: Any) -> str:
    """Returns the one JSON text of `value`: sorted keys, no spaces, no NaN."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """Returns 16 hexadecimal digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def override(config: Config, path: str, value: Any) -> Config:
    """Returns `config` with the field at the dotted `path` replaced; serves `--set a.b=v` and sweeps alike.

    A string is read as the field's type; the name of a registered unit (`badnets`, `rotate,affine`) stands for that
    unit with its default parameters. Raises Refused for an unknown path (with the nearest known name) or a wrong value.
    """
    return _replace(config, path.split("."), path, value)


def _replace(config: Any, parts: list[str], path: str, value: Any) -> Any:
    if not dataclasses.is_dataclass(config):
        raise Refused(f"cannot set {path!r}: {'.'.join(path.split('.')[: -len(parts)])} is {config!r} and has no fields")
    fields = {field.name: field for field in dataclasses.fields(config)}
    if parts[0] not in fields:
        prefix = ".".join(path.split(".")[: -len(parts)])
        raise unknown(f"configuration key (in {prefix or type(config).__name__})", parts[0], fields)
    if len(parts) > 1:
        new = _replace(getattr(config, parts[0]), parts[1:], path, value)
    else:
        registry = fields[parts[0]].metadata.get("registry")
        hint = typing.get_type_hints(type(config))[parts[0]]
        new = _unit(registry, hint, path, value) if registry else _convert(hint, path, value)
    return dataclasses.replace(config, **{parts[0]: new})


def _unit(registry: Mapping[str, Any], hint: Any, path: str, value: Any) -> Any:
    many = typing.get_origin(hint) is tuple
    if isinstance(value, str):
        if value.lower() == "none" and type(None) in typing.get_args(hint):
            return None
        names = value.split(",") if many else [value]
        found = (look_up(registry, path.rsplit(".", 1)[-1], name.strip()) for name in names)
        units = tuple(unit() if isinstance(unit, type) else unit for unit in found)
        return units if many else units[0]
    items = value if many and isinstance(value, tuple | list) else (value,)
    if value is None and type(None) in typing.get_args(hint):
        return None
    kinds = [unit if isinstance(unit, type) else type(unit) for unit in registry.values()]
    if not all(type(item) in kinds for item in items):
        raise Refused(f"{path} must be one of {', '.join(sorted(registry))}, not {value!r}")
    return tuple(items) if many else value


def _convert(hint: Any, path: str, value: Any) -> Any:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value in options:
            return value
        raise unknown(f"value of {path}", value, [str(option) for option in options])
    if origin in (types.UnionType, typing.Union):
        if type(None) in options and value in (None, "none", "None"):
            return None
        return _convert(next(option for option in options if option is not type(None)), path, value)
    if hint is str or hint is Path:
        return hint(value)
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value.capitalize() if value.lower() in ("true", "false") else value)
        except (ValueError, SyntaxError):
            if origin is not tuple:
                raise Refused(f"{path} must be {_name(hint)}, not {value!r}") from None
            value = [part.strip() for part in value.split(",")]  # names without quotes
    if origin is tuple:
        items = value if isinstance(value, tuple | list) else (value,)
        if options[-1] is not Ellipsis and len(items) != len(options):
            raise Refused(f"{path} must hold {len(options)} values, not {value!r}")
        return tuple(_convert(options[0], path, item) for item in items)
    if hint is float and type(value) is int:
        return float(value)
    if not isinstance(hint, type) or type(value) is not hint or (hint is float and not math.isfinite(value)):
        raise Refused(f"{path} must be {_name(hint)}, not {value!r}")
    return value


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
