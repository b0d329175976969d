"""Which versions of what a result rests on were installed when it was made."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ray_defense.core.version import VERSION

PACKAGES = ("ray", "torch", "torchvision", "ffcv", "numpy", "pyarrow", "scikit-learn")


@cache
def versions() -> dict[str, str]:
    """Returns name -> installed version, or "not installed"; Python's own first."""
    own = {"python": platform.python_version(), "ray_defense": VERSION}
    return own | {name: _installed(name) for name in PACKAGES}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
