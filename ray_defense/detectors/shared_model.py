"""Which model of the recipe a detector reads, where several would do."""

from typing import Literal

from ray_defense.core.errors import unknown_name
from ray_defense.detectors.required_models import Backdoored, Probe

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
