"""Configuration as a tree of frozen dataclasses: as plain data, as a fingerprint, with changes."""

import ast
import dataclasses
import hashlib
import json
import math
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ray_defense.core.errors import InputError, look_up, unknown_name

Config = TypeVar("Config")

_KIND = "kind"  # the key of plain data that names a registered unit
_LEFT_OUT_AT = "left_out_at"


def choice(registry: Mapping[str, Any], **kwargs: Any) -> Any:
    """Returns a dataclass field whose value is chosen by name from a registry.

    Args:
        registry: The units by name: classes, which are created with their default parameters, or
            finished values. The field holds one unit, or a tuple of them if its type is a tuple.
        **kwargs: What `dataclasses.field` takes.
    """
    return dataclasses.field(metadata={"registry": registry}, **kwargs)


def departure(default: Any) -> Any:
    """Returns a dataclass field whose default stands for what is done without it.

    Another value is another way, such as that of the authors. At its default the field is left out
    of plain data, so that it may come later without a change of the fingerprint.
    """
    return dataclasses.field(default=default, metadata={_LEFT_OUT_AT: default})


def to_plain(value: Any) -> Any:
    """Returns `value` as JSON data; a registered unit carries its name under `kind`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain: dict[str, Any] = {}
        name = getattr(value, "name", None)
        if isinstance(getattr(type(value), "name", None), str):
            plain[_KIND] = name
        for field in dataclasses.fields(value):
            of_field = getattr(value, field.name)
            if _LEFT_OUT_AT in field.metadata and of_field == field.metadata[_LEFT_OUT_AT]:
                continue
            plain[field.name] = to_plain(of_field)
        return plain
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def from_plain(kind: type[Config], plain: Any) -> Config:
    """Returns the configuration that `to_plain` described.

    Args:
        kind: The dataclass of the whole configuration.
        plain: What `to_plain` returned, or a part of it: a key that is left out has the default of
            its unit. The name of a registered unit stands for that unit with its defaults.

    Raises:
        InputError: If a key is unknown (the message suggests the nearest one) or missing, or a
            value does not fit its field.
    """
    described: Config = _described_at(kind, plain, "")
    return described


def canonical_json(value: Any) -> str:
    """Returns the one JSON text of `value`: sorted keys, no spaces, no NaN."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """Returns 16 hexadecimal digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def override(config: Config, path: str, value: Any) -> Config:
    """Returns a copy of a configuration with one value replaced.

    Args:
        config: A frozen dataclass.
        path: The dotted path of the field, `probe.epochs`. A field that holds several units is
            entered by the name of one of them; the path may also start there (`d_br.rounds` for
            `defenses.d_br.rounds`).
        value: The new value. A string is read as the type of the field. The name of a registered
            unit stands for that unit: with its default parameters, or, where the field holds
            several, with the parameters of the unit of that name that is already there. `none`
            clears a field that may be empty and removes one unit from a field of several.

    Raises:
        InputError: If the path is unknown (the message suggests the nearest field) or the value
            does not fit the field.
    """
    new: Config = _override_at(config, path.split("."), path, value)
    return new


def override_all(config: Config, assignments: Iterable[tuple[str, Any]]) -> Config:
    """Returns a copy of a configuration with several values replaced, in whatever order they come.

    A unit is chosen before fields of it are set, so that `source=parquet` behind `source.path=IN`
    does not drop the path. Of two values for one path the later one counts.

    Args:
        config: A frozen dataclass.
        assignments: Path and value of each, as `override` takes them.
    """
    for path, value in sorted(assignments, key=lambda assignment: assignment[0].count(".")):
        config = override(config, path, value)
    return config


def _described_at(kind: Any, plain: Any, path: str) -> Any:
    """Returns the dataclass `kind` that `plain` describes, which stands at `path`."""
    owner = path or kind.__name__
    if not isinstance(plain, Mapping):
        raise InputError(f"{owner} must be an object with keys, not {plain!r}")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in plain.items():
        if key == _KIND and key not in fields:
            if value != getattr(kind, "name", None):
                raise InputError(f"{owner} must be a {kind.__name__}, not of the kind {value!r}")
            continue
        if key not in fields:
            raise unknown_name(f"configuration key (in {owner})", key, fields)
        registry = fields[key].metadata.get("registry")
        place = f"{path}.{key}" if path else key
        if registry is None:
            values[key] = _described_value(hints[key], place, value)
        else:
            values[key] = _described_units(registry, hints[key], place, value)
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING
        has_default = has_default or field.default_factory is not dataclasses.MISSING
        if name not in values and not has_default:
            raise InputError(f"{owner} needs the key {name!r}")
    return kind(**values)


def _described_value(hint: Any, path: str, value: Any) -> Any:
    """Returns the value of a field that is no registered unit."""
    options = typing.get_args(hint)
    if value is None and type(None) in options:
        return None
    for option in (hint, *options):
        if dataclasses.is_dataclass(option):
            return _described_at(option, value, path)
    return _convert(hint, path, value)


def _described_units(registry: Mapping[str, Any], hint: Any, path: str, value: Any) -> Any:
    """Returns the unit, or for a tuple field the units, that a plain value describes."""
    if typing.get_origin(hint) is not tuple:
        if value is None and type(None) in typing.get_args(hint):
            return None
        return _described_unit(registry, path, value)
    if not isinstance(value, list | tuple):
        raise InputError(f"{path} must be a list, not {value!r}")
    return tuple(_described_unit(registry, path, item) for item in value)


def _described_unit(registry: Mapping[str, Any], path: str, value: Any) -> Any:
    word = path.rsplit(".", 1)[-1]
    if not isinstance(value, Mapping):
        return _unit(registry, word, path, value)
    if _KIND not in value:
        kinds = _kinds_of_values(registry)
        if len(kinds) == 1:  # a registry of values, `NORMALIZATIONS`
            return _described_at(kinds.pop(), value, path)
        raise InputError(f"{path} needs the key {_KIND!r}: one of {', '.join(sorted(registry))}")
    entry = look_up(registry, word, value[_KIND])
    parameters = {key: item for key, item in value.items() if key != _KIND}
    return _described_at(entry if isinstance(entry, type) else type(entry), parameters, path)


def _override_at(config: Any, parts: Sequence[str], path: str, value: Any) -> Any:
    """Returns `config` with the field at `parts`, the rest of the whole `path`, replaced."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        owner = ".".join(path.split(".")[: -len(parts)])
        raise InputError(f"cannot set {path!r}: {owner} is {config!r} and has no fields")
    fields = {field.name: field for field in dataclasses.fields(config)}
    name = parts[0]
    if name not in fields:
        owner_field = _field_holding_unit(config, name)
        if owner_field is None:
            owner = ".".join(path.split(".")[: -len(parts)]) or type(config).__name__
            raise unknown_name(f"configuration key (in {owner})", name, fields)
        return _override_at(config, [owner_field, *parts], path, value)
    if len(parts) == 1:
        hint = typing.get_type_hints(type(config))[name]
        registry = fields[name].metadata.get("registry")
        if registry is None:
            new = _convert(hint, path, value)
        else:
            new = _choose(registry, hint, path, value, getattr(config, name))
    elif isinstance(getattr(config, name), tuple):
        new = _override_among_units(getattr(config, name), parts[1:], path, value)
    else:
        new = _override_at(getattr(config, name), parts[1:], path, value)
    return dataclasses.replace(config, **{name: new})


def _field_holding_unit(config: Any, unit_name: str) -> str | None:
    """Returns the field of several units that may hold one of that name, if there is one."""
    for field in dataclasses.fields(config):
        registry = field.metadata.get("registry", {})
        if isinstance(getattr(config, field.name), tuple) and unit_name in registry:
            return field.name
    return None


def _override_among_units(
    units: tuple[Any, ...], parts: Sequence[str], path: str, value: Any
) -> tuple[Any, ...]:
    """Returns `units` with the one called `parts[0]` changed, or removed by the value none."""
    names = [_name_of(unit) for unit in units]
    removes = len(parts) == 1 and _is_none(value)
    if parts[0] not in names:
        if removes:
            return units
        present = ", ".join(name for name in names if name) or "none"
        raise InputError(
            f"cannot set {path!r}: there is no {parts[0]}, only {present}; add it first"
        )
    position = names.index(parts[0])
    before = units[:position]
    after = units[position + 1 :]
    if removes:
        return (*before, *after)
    if len(parts) == 1:
        raise InputError(f"{path} names one unit of several: set it to none, or set a field of it")
    return (*before, _override_at(units[position], parts[1:], path, value), *after)


def _name_of(unit: Any) -> str | None:
    name = getattr(type(unit), "name", None)
    return name if isinstance(name, str) else None


def _is_none(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.lower() == "none")


def _choose(registry: Mapping[str, Any], hint: Any, path: str, value: Any, present: Any) -> Any:
    """Returns the unit, or for a tuple field the units, that `value` names or is."""
    several = typing.get_origin(hint) is tuple
    if _is_none(value) and (type(None) in typing.get_args(hint) or several):
        return () if several else None
    kind = path.rsplit(".", 1)[-1]
    if not several:
        return _unit(registry, kind, path, value)
    if isinstance(value, str):
        items: Sequence[Any] = [name.strip() for name in value.split(",")]
    else:
        items = value if isinstance(value, tuple | list) else (value,)
    kept = {_name_of(unit): unit for unit in present}
    units = []
    for item in items:
        already = kept.get(item) if isinstance(item, str) else None
        units.append(already or _unit(registry, kind, path, item))
    return tuple(units)


def _unit(registry: Mapping[str, Any], kind: str, path: str, value: Any) -> Any:
    """Returns the unit that `value` names, or `value` itself where it is a registered unit."""
    if isinstance(value, str):
        entry = look_up(registry, kind, value)
        return entry() if isinstance(entry, type) else entry
    name = _name_of(value)
    registered = name is not None and name in registry and type(value) is registry[name]
    if not registered and type(value) not in _kinds_of_values(registry):
        raise InputError(f"{path} must be one of {', '.join(sorted(registry))}, not {value!r}")
    return value


def _kinds_of_values(registry: Mapping[str, Any]) -> set[type]:
    """Returns the types of the entries of a registry of values; a registry of classes has none."""
    return {type(entry) for entry in registry.values() if not isinstance(entry, type)}


def _convert(hint: Any, path: str, value: Any) -> Any:
    """Returns `value` as the type `hint` of a field; a string is read as that type."""
    origin = typing.get_origin(hint)
    options = typing.get_args(hint)
    if origin is typing.Literal:
        if value in options:
            return value
        raise unknown_name(f"value of {path}", value, [str(option) for option in options])
    if origin in (types.UnionType, typing.Union):
        if type(None) in options and _is_none(value):
            return None
        # The words that a field takes beside its type, `float | Literal["chance"]`, win.
        others = []
        for option in options:
            if typing.get_origin(option) is typing.Literal and value in typing.get_args(option):
                return value
            if option is not type(None):
                others.append(option)
        return _convert(others[0], path, value)
    if hint is str or hint is Path:
        if not isinstance(value, str | Path):
            raise InputError(f"{path} must be {_type_name(hint)}, not {value!r}")
        return hint(value)
    if isinstance(value, str):
        value = _parse(hint, path, value)
    if origin is tuple:
        items = value if isinstance(value, tuple | list) else (value,)
        if options[-1] is not Ellipsis and len(items) != len(options):
            raise InputError(f"{path} must hold {len(options)} values, not {value!r}")
        return tuple(_convert(options[0], path, item) for item in items)
    if hint is float and type(value) is int and abs(value) < sys.float_info.max:
        return float(value)
    fits = isinstance(hint, type) and type(value) is hint
    if not fits or (hint is float and not math.isfinite(value)):
        raise InputError(f"{path} must be {_type_name(hint)}, not {value!r}")
    return value


def _parse(hint: Any, path: str, text: str) -> Any:
    """Returns the Python literal that `text` is; for a tuple field also names without quotes."""
    literal = text.capitalize() if text.lower() in ("true", "false") else text
    try:
        return ast.literal_eval(literal)
    # Of a text that nests very deeply Python's parser runs out of memory or of stack.
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if typing.get_origin(hint) is not tuple:
            raise InputError(f"{path} must be {_type_name(hint)}, not {text!r}") from None
        if _is_none(text):
            return []
        return [part.strip() for part in text.split(",")]


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
