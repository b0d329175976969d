"""One run as one JSON file: its configuration, seed, machine, versions, command and numbers."""

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_defense.core.config import to_plain
from ray_defense.core.plain_types import mismatch_of
from ray_defense.core.usable_cpus import usable_cpus
from ray_defense.core.versions import installed_versions
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.backdoored import BACKDOORED


@dataclass(frozen=True)
class RunCell:
    """A run that anybody can repeat by its command."""

    recipe: str
    attack: str | None
    seed: int
    changes: dict[str, str]  # by path
    command: str
    models: list[str]  # by name, of those that were measured
    numbers: dict[str, float | bool | None]  # as in the row of a sweep, such as `d_br_acc`
    configuration: dict[str, Any]
    machine: dict[str, str | int | list[str]]  # that put the numbers together
    versions: dict[str, str]

    @classmethod
    def from_plain(cls, plain: Any) -> "RunCell":
        """Returns the cell that the content of a file describes.

        Raises:
            ValueError: If it describes none; the text names the value.
        """
        mismatch = mismatch_of(cls, plain, "cell")
        if mismatch is not None:
            raise ValueError(mismatch)
        return cls(**plain)


def cell_of_run(
    recipe: Recipe,
    changes: Sequence[tuple[str, str]],
    overrides: Mapping[str, str],
    numbers: Mapping[str, Any],
) -> RunCell:
    """Returns the cell of a finished run.

    Args:
        recipe: Of the run, whose name is that of the recipe that was changed.
        changes: What a sweep changed, by path; several paths are joined by `+`.
        overrides: What was changed before.
        numbers: Of the run.
    """
    words = ["ray-defense", "run", recipe.name]
    for paths, value in (*overrides.items(), *changes):
        for path in paths.split("+"):
            words.extend(("--set", f"{path}={value}"))
    models = [] if recipe.backdoored is None else [BACKDOORED]
    models.extend(defense.name for defense in recipe.defenses)
    return RunCell(
        recipe=recipe.name,
        attack=None if recipe.attack is None else recipe.attack.name,
        seed=recipe.seed,
        changes=dict(changes),
        command=shlex.join(words),
        models=models,
        numbers=dict(numbers),
        configuration=to_plain(recipe),
        machine=describe_machine(),
        versions=installed_versions(),
    )


def describe_machine() -> dict[str, str | int | list[str]]:
    """Returns the system, the processor, the cores and the GPUs of this machine."""
    import torch

    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": usable_cpus(),
        "gpus": gpus,
    }
