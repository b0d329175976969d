"""Steps of stages made in this process."""

from collections.abc import Callable
from pathlib import Path

import torch

from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step, make_steps
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.training.normalization import NORMALIZATIONS

CPU = torch.device("cpu")
HALF = NORMALIZATIONS["half"]


def plan_context(root: Path, seed: int = 0) -> PlanContext:
    """Returns the surroundings of a plan in a store at `root`."""
    return PlanContext(Store(root), seed, HALF)


def local_executor() -> LocalExecutor:
    """Returns an executor whose results do not depend on the machine."""
    return LocalExecutor("numpy", CPU)


def make_step(step: Step, context: PlanContext, executor: Executor | None = None) -> Artifact:
    """Makes a step with all that it needs and returns its artifact."""
    make_steps([step], context.store, executor or local_executor())
    return step.artifact


def publish_step(
    context: PlanContext,
    stage: str,
    fill: Callable[[Path], None],
    inputs: dict[str, Artifact] | None = None,
) -> Step:
    """Returns a finished step without needs, whose files `fill(directory)` writes.

    Args:
        context: Its store is the place of the artifact.
        stage: The name of the stage.
        fill: Writes the files of the artifact.
        inputs: The artifacts that the record names as inputs, by their role.
    """
    artifact = context.store.locate(stage, 1, {}, inputs or {})
    with context.store.claim([artifact]) as missing:
        if missing:
            fill(artifact.work)
            artifact.publish(0.0)
    return Step(artifact, needs=(), work=FunctionWork(_refuse))


def _refuse(artifact: Artifact, executor: Executor) -> None:
    raise AssertionError(f"{artifact.stage} is finished and was to be made again")
