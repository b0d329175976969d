"""What a stage makes for an attack beforehand, checked where it enters."""

from typing import Any

import numpy as np

from ray_defense.core.errors import Refused


def check_pixels(attack: str, needs: str, material: Any) -> None:
    """Raises Refused unless the material is uint8 [h, w, 3] and not empty."""
    if material is None:
        raise absent(attack, needs)
    if not isinstance(material, np.ndarray) or material.dtype != np.uint8 or material.ndim != 3 or material.shape[2] != 3:
        found = f"{material.dtype} {list(material.shape)}" if isinstance(material, np.ndarray) else type(material).__name__
        raise Refused(
            f"the {needs} of {attack} must be a uint8 array [h, w, 3], not {found}: repeat a gray channel three times"
        )
    if not material.size:
        raise Refused(f"the {needs} of {attack} is empty, {list(material.shape)}: give at least one pixel")


def check_callable(attack: str, needs: str, material: Any) -> None:
    """Raises Refused unless the material can be called."""
    if material is None:
        raise absent(attack, needs)
    if not callable(material):
        raise Refused(f"the {needs} of {attack} must be a function of images, not {type(material).__name__}: load it first")


def absent(attack: str, needs: str) -> Refused:
    """Returns the refusal to stamp without what the attack needs."""
    return Refused(f"{attack} stamps with a {needs} and got none: ray-defense run makes it and hands it over as `material`")
