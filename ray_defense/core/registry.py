"""Registries of named units whose names are known before any of their modules is imported."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

Unit = TypeVar("Unit")


class Registry(Mapping[str, Unit], Generic[Unit]):
    """A mapping from names to units, each imported when it is first looked up.

    Listing names costs nothing: units may need torch, whose import takes seconds.
    """

    def __init__(self, package: str, units: Mapping[str, str]):
        """Creates the registry.

        Args:
            package: The package that the units are in, for example `ray_defense.attacks`.
            units: The place of each unit inside the package by its name, as `module.Name`.
        """
        self._package = package
        self._units = dict(units)

    def __getitem__(self, name: str) -> Unit:
        module, _, attribute = self._units[name].rpartition(".")
        unit: Unit = getattr(import_module(f"{self._package}.{module}"), attribute)
        return unit

    def __iter__(self) -> Iterator[str]:
        return iter(self._units)

    def __len__(self) -> int:
        return len(self._units)

    def __contains__(self, name: object) -> bool:
        return name in self._units
