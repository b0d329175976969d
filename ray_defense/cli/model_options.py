"""The options that name a trained model of the user: its file, its network, its classes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ray_defense.cli.parser import CommandParser
from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    from ray_defense.pipeline.user_model import UserModel
    from ray_defense.training.normalization import Normalization

_MAX_NAMES_BYTES = 2**20
_OPTIONS = (
    ("--architecture", "NAME", "of the network of --model: resnet18, or torchvision:resnet50"),
    ("--normalization", "NAME", "that the model was trained with: imagenet, cifar10, half, ..."),
    ("--mean", "R,G,B", "in place of --normalization: the means of images in [0, 1]"),
    ("--std", "R,G,B", "in place of --normalization: their standard deviations"),
    ("--model-classes", "NAMES", "of the model in its order: a,b,c or a file with one a line"),
)


def add_model_options(parser: CommandParser) -> None:
    """Adds --model and what describes it."""
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="with --method d-br: repair this model, safetensors or a state dict of torch",
    )
    for option, metavar, text in _OPTIONS:
        parser.add_argument(option, metavar=metavar, help=text)


def user_model(options: argparse.Namespace) -> "UserModel | None":
    """Returns the model that the options name, or None.

    Raises:
        InputError: For options that do not go together.
    """
    if options.model is None:
        for option, _, _ in _OPTIONS:
            if getattr(options, option[2:].replace("-", "_")) is not None:
                raise InputError(f"{option} describes a model: name its file with --model FILE")
        return None
    if options.architecture is None:
        raise InputError(
            f"name the network of {options.model!r}: --architecture torchvision:resnet18, or "
            "a model that ray-defense list names"
        )
    from ray_defense.pipeline.user_model import UserModel

    return UserModel(
        options.model,
        options.architecture,
        normalization=_normalization(options),
        classes=_class_names(options.model_classes),
    )


def _normalization(options: argparse.Namespace) -> "str | Normalization | None":
    from ray_defense.training.normalization import Normalization

    if options.mean is None and options.std is None:
        name: str | None = options.normalization
        return name
    if options.normalization is not None or options.mean is None or options.std is None:
        raise InputError("give either --normalization, or --mean and --std")
    mean = _three_numbers("--mean", options.mean)
    return Normalization(mean, _three_numbers("--std", options.std))


def _three_numbers(option: str, text: str) -> tuple[float, float, float]:
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"{option} needs three numbers, such as 0.485,0.456,0.406, not {text!r}"
        ) from None
    return first, second, third


def _class_names(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    path = Path(text)
    if not path.is_file():
        return tuple(text.split(","))
    with open(path, "rb") as file:
        content = file.read(_MAX_NAMES_BYTES + 1)
    if len(content) > _MAX_NAMES_BYTES:
        raise InputError(f"--model-classes {text!r} has more than {_MAX_NAMES_BYTES} bytes")
    try:
        return tuple(content.decode().splitlines())
    except UnicodeDecodeError:
        raise InputError(f"--model-classes {text!r} is no text in UTF-8") from None
