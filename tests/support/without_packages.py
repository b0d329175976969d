"""Runs a module as if some packages were not installed.

python -m tests.support.without_packages PACKAGE,PACKAGE MODULE [ARGUMENT ...]
"""

import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class WithoutPackages:
    """Finds what another finder of modules finds, but for some packages."""

    def __init__(self, finder: Any, names: Sequence[str]):
        self._finder = finder
        self._names = frozenset(names)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self._names:
            return None
        spec: ModuleSpec | None = self._finder.find_spec(name, path, target)
        return spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


if __name__ == "__main__":
    missing = sys.argv[1].split(",")
    sys.meta_path[:] = [WithoutPackages(finder, missing) for finder in sys.meta_path]
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
