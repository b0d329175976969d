"""The options of commands that audit data: how they are read, and at which size."""

import argparse
import os
import shlex
import sys
from typing import Any

from ray_defense.cli.parser import CommandParser
from ray_defense.core.errors import InputError

DEFAULT_OUT = "./audit"
# Fields of the sources that a user may have to name before the data can be read at all.
_SOURCE_OPTIONS = (
    ("--image-column", "NAME", "the column, or array, of images or of their paths"),
    ("--label-column", "NAME", "the column, or array, of labels"),
    ("--folder", "DIR", "of a table of paths: the folder that they are relative to"),
    ("--classes", "DEPTH", "of class folders: top, leaf or auto"),
    ("--layout", "KIND", "of a folder: splits, classes or auto"),
    ("--follow-links-below", "DIR", "read links of class folders that lead to what is below it"),
    ("--clean", "DATA", "of a record of BackdoorBench: the clean training set"),
    ("--target-label", "N", "of a record of BackdoorBench: the label that the attacker gave"),
    ("--max-pixels", "N", "of an image before it is resized"),
)

_FOLDERS = ("folder", "follow_links_below")


def add_data_options(parser: CommandParser) -> None:
    """Adds where an audit goes, and how its data are read."""
    parser.add_argument("--out", default=DEFAULT_OUT, metavar="DIR", help="the folder of the audit")
    parser.add_argument(
        "--trusted", metavar="DIR", help="images of the same classes that you vouch for"
    )
    parser.add_argument(
        "--quick", action="store_true", help="use only the fastest detectors, trained shortly"
    )
    parser.add_argument(
        "--size",
        default="auto",
        metavar="PIXELS",
        help="the side that images are resized to; auto: chosen from the data",
    )
    for option, metavar, text in _SOURCE_OPTIONS:
        parser.add_argument(option, metavar=metavar, help=text)


def data_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the arguments of `api.audit` that the options of `add_data_options` give.

    Raises:
        InputError: For a size that is no number.
    """
    return {
        "out": options.out,
        "trusted": options.trusted,
        "size": _parse_size(options.size),
        "quick": options.quick,
        "settings": _source_settings(options),
    }


def command_line() -> str:
    """Returns the command that was typed, with no credentials in the words that are URIs."""
    from ray_defense.data.fetched_data import is_uri, shown_uri

    words = [shown_uri(word) if is_uri(word) else word for word in sys.argv[1:]]
    return shlex.join(["ray-defense", *words])


def has_data_options(options: argparse.Namespace) -> bool:
    """Returns whether the user gave one of the options of `add_data_options`."""
    defaults: dict[str, Any] = {
        "out": DEFAULT_OUT,
        "trusted": None,
        "size": "auto",
        "quick": False,
        "settings": {},
    }
    return data_arguments(options) != defaults


def _source_settings(options: argparse.Namespace) -> dict[str, str]:
    settings = {}
    for option, _, _ in _SOURCE_OPTIONS:
        name = option[2:].replace("-", "_")
        value = getattr(options, name)
        if value is not None:
            settings[name] = os.path.abspath(value) if name in _FOLDERS else value
    return settings


def _parse_size(text: str) -> Any:
    if text == "auto":
        return text
    if not text.isascii() or not text.isdigit():
        raise InputError(f"--size needs a number of pixels or auto, not {text!r}")
    return int(text)
