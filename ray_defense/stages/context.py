"""What every stage of one run shares: where artifacts go, where work runs, the seed and the normalization."""

from dataclasses import dataclass
from typing import Any

from ray_defense.execution.protocols import Executor, TrainJob
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.training.views import Normalization


@dataclass(frozen=True)
class Context:
    """One run's surroundings."""

    store: Store
    executor: Executor
    seed: int
    normalization: Normalization

    @property
    def settings(self) -> dict[str, Any]:
        """What enters the fingerprint of every stage that looks through a model."""
        return {"normalization": self.normalization}

    def place(self, stage: str, version: int, config: Any, inputs: dict[str, Artifact], **more: Any) -> Artifact:
        """Returns where the result of a stage stands in the store, by its configuration, the seed and its inputs."""
        return self.store.place(stage, version, {"seed": self.seed, "config": config, **more}, inputs)


def train_missing(context: Context, jobs: list[TrainJob]) -> None:
    """Trains the artifacts that are not in the store yet, all in one group of workers."""
    with context.store.claim(*(job.artifact for job in jobs)) as missing:
        todo = [job for job in jobs if job.artifact in missing]
        if todo:
            context.executor.train(todo)
