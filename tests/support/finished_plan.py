"""Single steps of a finished plan, once more in another store or with another work."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray_defense.execution.protocols import Worker
from ray_defense.execution.steps import Step, TrainingWork, training_job
from ray_defense.pipeline.plan import Plan
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.context import PlanContext
from ray_defense.stages.detect import detect_step
from ray_defense.stages.probe import probe_step
from ray_defense.store.artifacts import Artifact, Store

Program = Callable[[Worker, Artifact, Any], None]


def context_in(store: Path, plan: Plan) -> PlanContext:
    """Returns the surroundings of a plan, but for its store."""
    return replace(plan.context, store=Store(store))


def probe_again(store: Path, plan: Plan, recipe: Recipe | None = None) -> Step:
    """Returns the step, in another store, of a probe of the finished dataset.

    Args:
        store: Where the probe is made.
        plan: A finished plan.
        recipe: What the configuration of the probe is taken from; None for the plan's own recipe.
    """
    config = (recipe or plan.recipe).probe
    return probe_step(config, plan.dataset.step, context_in(store, plan))


def evidence_again(store: Path, plan: Plan, probe: Step | None = None) -> Step:
    """Returns the step, in another store, of the evidence of the finished dataset.

    Args:
        store: Where the evidence is made.
        plan: A finished plan.
        probe: The step of the probe; None for the finished one.
    """
    recipe = plan.recipe
    return detect_step(
        recipe.detect,
        plan.dataset.step,
        probe or plan.probe,
        model=recipe.probe.model,
        context=context_in(store, plan),
    )


def with_program(step: Step, program: Program) -> Step:
    """Returns a training step whose job runs another program."""
    job = replace(training_job(step), program=program)
    return replace(step, work=TrainingWork(job))
