"""What the defenses have in common that repair a backdoored model with images known as clean.

Source: the paper, Section 4.1: "1% of the clean training samples are provided".
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

from ray_defense.core.errors import InputError
from ray_defense.defenses.protocol import Defense
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.protocol import Model
from ray_defense.training.settings import SupervisedConfig

CleanSource = Literal["held_out", "trusted"]


@runtime_checkable
class UsesCleanData(Protocol):
    """What a defense has besides that needs clean images."""

    @property
    def clean(self) -> CleanSource:
        """Where they come from: the clean share of the source, or the trusted part of the split."""


@dataclass(frozen=True)
class CleanDataRepair:
    """The settings of every defense that repairs a backdoored model with clean images.

    `clean="held_out"` takes the clean share of the source (see `stages.clean_share`), as the paper
    gives it to the methods it compares with; `clean="trusted"` takes the trusted part of the
    split, so that nobody has to know a clean image.
    """

    repairs: ClassVar[bool] = True
    needs: ClassVar[str] = "clean data"

    clean: CleanSource = "held_out"
    workers: WorkerGroup = WorkerGroup()

    @property
    def parts_used(self) -> tuple[str, ...]:
        return ("trusted",) if self.clean == "trusted" else ()

    def network(self, backdoored: SupervisedConfig | None) -> Model:
        assert backdoored is not None
        model: Model = backdoored.model
        return model


def takes_clean_share(defense: Defense) -> bool:
    """Returns whether a defense takes the clean share of the source."""
    return isinstance(defense, UsesCleanData) and defense.clean == "held_out"


def no_clean_share(defense: Defense) -> InputError:
    """Returns the error of a defense that takes the clean share where there is none."""
    return InputError(
        f"{defense.name} needs clean images, and of a source that no attack of ours poisons none "
        f"is known to be clean: set {defense.name}.clean=trusted to take the trusted split"
    )
