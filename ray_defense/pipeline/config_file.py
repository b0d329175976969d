"""Reads a configuration from a file: what `--print-config` or a report wrote, or YAML by hand."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_defense.core.config import from_plain
from ray_defense.core.errors import InputError
from ray_defense.data.text import encodable, shortened
from ray_defense.pipeline.recipe import Recipe

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 2**20  # the longest configuration of ours has some thousand
_MAX_MESSAGE = 1000  # characters of an error, which may quote the file


def read_recipe(path: str | Path) -> Recipe:
    """Returns the recipe that a file of JSON or YAML describes.

    A key that is left out has the default of its unit, and a unit may stand as its bare name.

    Args:
        path: The file.

    Raises:
        InputError: If it cannot be read, is too long, holds a key twice or an alias of YAML, or
            describes no recipe; the message suggests the nearest key.
    """
    name = shortened(encodable(str(path)))
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the configuration {name!r}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"the configuration {name!r} has more than {MAX_BYTES} bytes: shorten it")
    try:
        return from_plain(Recipe, _parse(data))
    except RecursionError:
        raise InputError(f"the configuration {name!r} is nested too deeply: flatten it") from None
    except (InputError, ValueError) as error:  # a UnicodeDecodeError is a ValueError
        message = shortened(" ".join(str(error).split()), _MAX_MESSAGE)
        raise InputError(f"in the configuration {name!r}: {message}") from None


def _parse(data: bytes) -> Any:
    text = data.decode()
    if text.lstrip().startswith("{"):
        return json.loads(text, object_pairs_hook=_distinct_keys)
    import yaml

    try:
        return yaml.load(text, _strict_loader())
    except yaml.YAMLError as error:
        raise InputError(f"neither JSON nor YAML ({error})") from None


def _distinct_keys(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    mapping: dict[Any, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise InputError(f"the key {key!r} is there twice: leave one out")
        mapping[key] = value
    return mapping


def _strict_loader() -> "type[yaml.SafeLoader]":
    """Returns PyYAML's safe loader without aliases, which can grow without end."""
    import yaml

    class StrictLoader(yaml.SafeLoader):  # type: ignore[misc]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise InputError("an alias of YAML (*name) is not read: write the value out")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = []
            for key, _ in node.value:
                keys.append((str(getattr(key, "value", None)), None))
            _distinct_keys(keys)
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            return mapping

    return StrictLoader
