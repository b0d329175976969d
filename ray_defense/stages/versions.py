"""Which versions of what a result rests on were installed when it was made."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("ray_defense", "ray", "torch", "torchvision", "ffcv", "numpy", "pyarrow", "scikit-learn")


def versions() -> dict[str, str]:
    """Returns name -> installed version, or "not installed"; Python's own first."""
    return {"python": platform.python_version()} | {name: _installed(name) for name in PACKAGES}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
