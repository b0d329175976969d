"""What every step of one run shares: the store, the seed and the normalization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray_defense.execution.steps import Step
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.training.normalization import Normalization


@dataclass(frozen=True)
class PlanContext:
    """The surroundings in which steps are planned."""

    store: Store
    seed: int
    normalization: Normalization

    def locate(
        self,
        stage: str,
        version: int,
        config: Any,
        needs: Mapping[str, Step],
        **identity: Any,
    ) -> Artifact:
        """Returns the place of a step's artifact in the store.

        Args:
            stage: The name of the stage.
            version: Of the stage's code.
            config: Of the stage.
            needs: The steps the artifact is made from, by their role.
            **identity: What else it depends on.
        """
        described = {"seed": self.seed, "config": config, **identity}
        inputs = {role: step.artifact for role, step in needs.items()}
        return self.store.locate(stage, version, described, inputs)
