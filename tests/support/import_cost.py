"""Which heavy packages a piece of code imports, found in a process of its own."""

import subprocess
import sys

HEAVY = ("torch", "torchvision", "scipy", "sklearn", "pyarrow", "PIL")

_REPORT = f"""
import sys
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""


def heavy_imports(code: str) -> list[str]:
    """Returns the heavy packages that are imported once `code` has run."""
    finished = subprocess.run(
        [sys.executable, "-c", code + _REPORT], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


def heavy_imports_of_units(package: str, registry: str) -> list[str]:
    """Returns the heavy packages imported by creating every unit of a registry with its defaults.

    Args:
        package: The package that holds the registry, for example `ray_defense.transforms`.
        registry: The name of the registry in it, for example `TRANSFORMS`.
    """
    return heavy_imports(
        f"from {package} import {registry}\nfor unit in {registry}.values():\n    unit()\n"
    )
