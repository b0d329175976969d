"""The folders that Python imports from, without the current directory: hostile data may lie there.

Python puts the current directory first for `python -m` and `python -c`, and in the place of an
empty word of PYTHONPATH: a `torch.py` beside the images would run. The standard library alone is
imported here.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

PACKAGE_ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
_SAFE_PATH = "PYTHONSAFEPATH"  # tells a Python that is started to leave out the current directory
_FOLDERS = "PYTHONPATH"


def without_current_directory(folders: Sequence[str]) -> list[str]:
    """Returns the folders but for the current directory, in whichever way it is written.

    It stays where it holds this package, and where PYTHONPATH names it by an absolute path.
    """
    try:
        here = os.path.realpath(os.getcwd())
    except FileNotFoundError:  # it was removed, so nothing lies there
        return [folder for folder in folders if os.path.isabs(folder)]
    if here == PACKAGE_ROOT:
        return list(folders)
    asked_for = os.environ.get(_FOLDERS, "").split(os.pathsep)
    kept = []
    for folder in folders:
        is_here = os.path.realpath(folder or os.curdir) == here
        if not is_here or (os.path.isabs(folder) and folder in asked_for):
            kept.append(folder)
    return kept


def drop_current_directory() -> None:
    """Takes the current directory out of the folders that this process imports from."""
    sys.path[:] = without_current_directory(sys.path)


def imports_from_current_directory() -> bool:
    """Returns whether this process itself imports from the current directory."""
    try:
        here = os.path.realpath(os.getcwd())
    except FileNotFoundError:
        return False
    return any(os.path.realpath(folder or os.curdir) == here for folder in sys.path)


def safe_variables() -> dict[str, str]:
    """Returns the variables with which a Python that is started leaves the current directory out.

    Relative words of PYTHONPATH become absolute, since the process may start in another directory.
    """
    variables = {_SAFE_PATH: "1"}
    words = [word for word in os.environ.get(_FOLDERS, "").split(os.pathsep) if word]
    if words:
        folders = [os.path.abspath(word) for word in without_current_directory(words)]
        variables[_FOLDERS] = os.pathsep.join(folders)
    return variables


@contextlib.contextmanager
def safe_children() -> Iterator[None]:
    """Runs the body such that each Python that it starts leaves the current directory out."""
    before = {name: os.environ.get(name) for name in (_SAFE_PATH, _FOLDERS)}
    os.environ.update(safe_variables())
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
