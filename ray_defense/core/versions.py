"""The versions of what a result rests on, as installed when it was made."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from ray_defense.core.version import VERSION

PACKAGES = ("ray", "torch", "torchvision", "ffcv", "numpy", "pyarrow", "scikit-learn")


@cache
def installed_versions() -> dict[str, str]:
    """Returns name -> installed version, or "not installed"; Python's own comes first."""
    versions = {"python": platform.python_version(), "ray_defense": VERSION}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
