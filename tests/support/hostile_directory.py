"""A folder whose Python modules and settings leave a mark when something executes or reads them."""

import os
from collections.abc import Mapping
from pathlib import Path

from ray_defense.core.import_path import PACKAGE_ROOT

# What the product imports, what Python itself imports as it starts, and a module of the standard
# library that no Python has loaded by the time it reads the command line.
MODULES = (
    "PIL",
    "torch",
    "torchvision",
    "numpy",
    "ray",
    "pyarrow",
    "scipy",
    "sklearn",
    "rich",
    "jinja2",
    "matplotlib",
    "safetensors",
    "ffcv",
    "numba",
    "cv2",
    "jsonargparse",
    "cloudpickle",
    "psutil",
    "pandas",
    "yaml",
    "argparse",
    "sitecustomize",
    "usercustomize",
    "evil_backend",
)
MODULE = """
import os
handle = os.open({marks!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(handle, ("{name} ran in " + str(os.getpid()) + "\\n").encode())
os.close(handle)
raise ImportError("a module of the data was imported")
"""


class HostileDirectory:
    """A folder such as a dataset from a stranger.

    Attributes:
        folder: The folder.
    """

    def __init__(self, base: Path):
        """Makes the folder below `base`, which also holds the marks."""
        self.folder = base / "hostile data"
        self._marks = base / "marks"
        self.folder.mkdir(parents=True)
        for name in MODULES:
            text = MODULE.format(marks=str(self._marks), name=name)
            (self.folder / f"{name}.py").write_text(text)
        # Settings that name code: a backend of matplotlib, a cache of pickles of numba.
        (self.folder / "matplotlibrc").write_text("backend: module://evil_backend\n")
        (self.folder / ".numba_config.yaml").write_text("cache_dir: .\ndisable_jit: 1\n")

    @property
    def marks(self) -> str:
        """What was executed, a line each."""
        return self._marks.read_text() if self._marks.exists() else ""


def ordinary_environment(home: Path, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the variables of a user who set nothing of Python's or Ray's."""
    environment = {}
    for name, value in os.environ.items():
        if not name.startswith(("RAY_", "PYTHON", "PYTEST", "NUMBA_", "MPL")):
            environment[name] = value
    environment["HOME"] = str(home)
    environment["PYTHONPATH"] = PACKAGE_ROOT
    return {**environment, **(variables or {})}
