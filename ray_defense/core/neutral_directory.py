"""An empty directory of this process, for what would read settings from the current directory.

matplotlib reads `matplotlibrc` there and numba `.numba_config.yaml`, and both name code: hostile
data may lie there.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

_PREFIX = "ray-defense-"


@cache
def neutral_directory() -> Path:
    """Returns a directory that this user alone may enter; it goes as this process ends.

    It is for the processes that this one starts. A worker of Ray is killed in the end and leaves
    its directory behind, so what runs there uses `in_empty_directory`.
    """
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: Path, maker: int) -> None:
    if os.getpid() == maker:  # a process that was forked uses it as well
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def in_empty_directory() -> Iterator[None]:
    """Runs the body in an empty directory, which goes afterwards."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as directory, in_directory(Path(directory)):
        yield


@contextlib.contextmanager
def in_directory(directory: Path) -> Iterator[None]:
    """Runs the body in a directory; meanwhile all threads of this process are there."""
    before = os.open(os.curdir, os.O_PATH)  # by its handle: it may have no name any more
    try:
        os.chdir(directory)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def import_apart(name: str) -> ModuleType:
    """Imports a module that reads settings from the current directory as it is imported."""
    with in_empty_directory():
        return import_module(name)
