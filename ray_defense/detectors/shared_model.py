"""Detectors with one column that read a model of the recipe, where several would do."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ray_defense.core.errors import unknown_name
from ray_defense.detectors.required_models import Backdoored, Probe, RequiredModel
from ray_defense.transforms.protocol import Transform

ModelName = Literal["probe", "backdoored"]


def shared_model(name: ModelName) -> Probe | Backdoored:
    """Returns the probe after cross-entropy alone, or the backdoored model.

    Raises:
        InputError: For another name.
    """
    if name == "probe":
        return Probe(intra=False)
    if name == "backdoored":
        return Backdoored()
    raise unknown_name("model of a detector", name, ("probe", "backdoored"))


@dataclass(frozen=True)
class ReadsSharedModel:
    """What such detectors have in common: they read images as they are."""

    name: ClassVar[str]
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    model: ModelName = "probe"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def models(self) -> tuple[RequiredModel, ...]:
        return (shared_model(self.model),)
