"""Checks of an attack's asset, which a stage makes before the attack stamps."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ray_defense.attacks.protocol import Attack
from ray_defense.core.errors import InputError

Function = TypeVar("Function", bound=Callable[..., object])


def check_pixels(attack: Attack, asset: np.ndarray | None) -> np.ndarray:
    """Returns an asset that is a picture or a pattern.

    Args:
        attack: The attack that is about to stamp.
        asset: What `stamp` was given.

    Returns:
        The asset itself, uint8 [h, w, 3].

    Raises:
        InputError: Unless the asset is uint8 [h, w, 3] and not empty.
    """
    if asset is None:
        raise missing_asset(attack)
    if not isinstance(asset, np.ndarray):
        raise _not_pixels(attack, type(asset).__name__)
    if asset.dtype != np.uint8 or asset.ndim != 3 or asset.shape[2] != 3:
        raise _not_pixels(attack, f"{asset.dtype} {list(asset.shape)}")
    if not asset.size:
        raise InputError(
            f"the {attack.requires} of {attack.name} is empty, {list(asset.shape)}: "
            "give at least one pixel"
        )
    return asset


def check_callable(attack: Attack, asset: Function | None) -> Function:
    """Returns an asset that is a network or another function of images.

    Args:
        attack: The attack that is about to stamp.
        asset: What `stamp` was given.

    Returns:
        The asset itself.

    Raises:
        InputError: Unless the asset can be called.
    """
    if asset is None:
        raise missing_asset(attack)
    if not callable(asset):
        raise InputError(
            f"the {attack.requires} of {attack.name} must be a function of images, "
            f"not {type(asset).__name__}: load it first"
        )
    return asset


def missing_asset(attack: Attack) -> InputError:
    """Returns the error of an attack that is to stamp without the asset it requires."""
    return InputError(
        f"{attack.name} stamps with a {attack.requires} and got none: "
        "ray-defense run makes it and hands it over as `asset`"
    )


def _not_pixels(attack: Attack, description: str) -> InputError:
    return InputError(
        f"the {attack.requires} of {attack.name} must be a uint8 array [h, w, 3], "
        f"not {description}: repeat a gray channel three times"
    )
