"""Ray Train: killed workers resume to the same bytes, and errors of ours are not tried again."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ray_defense.cluster.session import start_executor
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import read_json
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.execution.placement import Placement
from ray_defense.execution.steps import Step, make_steps
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.pipeline.plan import Plan
from ray_defense.stages.backdoored import backdoored_step
from ray_defense.stages.defend import BackdooredModel, defend_step
from ray_defense.store.artifacts import Store
from tests.support import tiny
from tests.support.dying_programs import hanging, killed_after_second_epoch, refusing
from tests.support.finished_plan import context_in, probe_again, with_program

pytestmark = pytest.mark.ray


@dataclass(frozen=True)
class InterruptedGroup:
    """Two jobs of one group of workers: the first is killed once, the second is refused."""

    folder: Path  # `killed`, `resumed` and `calls` tell what happened
    store: Path
    killed: Step
    refused: Step
    error: InputError


@pytest.fixture(scope="module")
def interrupted(ray_plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> InterruptedGroup:
    folder = tmp_path_factory.mktemp("interrupted")
    store = folder / "store"
    recipe = ray_plan.recipe
    shorter = replace(recipe, probe=replace(recipe.probe, epochs=1))
    killed = with_program(probe_again(store, ray_plan), partial(killed_after_second_epoch, folder))
    refused = with_program(
        probe_again(store, ray_plan, shorter), partial(refusing, folder / "calls")
    )
    with pytest.raises(InputError) as raised:
        make_steps([killed, refused], Store(store), start_executor("numpy"))
    return InterruptedGroup(
        folder=folder, store=store, killed=killed, refused=refused, error=raised.value
    )


def test_a_killed_train_worker_resumes_to_the_same_bytes(
    interrupted: InterruptedGroup, ray_plan: Plan
) -> None:
    assert (interrupted.folder / "killed").exists()
    assert (interrupted.folder / "resumed").read_text() == "2"
    assert interrupted.killed.artifact.hashes == ray_plan.probe.artifact.hashes


def test_an_error_of_ours_is_not_trained_again(interrupted: InterruptedGroup) -> None:
    assert str(interrupted.error) == "call 1"
    assert (interrupted.folder / "calls").read_text() == "1"
    assert not interrupted.refused.artifact.exists
    # What was finished before is published whole.
    assert interrupted.killed.artifact.exists
    assert not interrupted.killed.artifact.work.exists()
    assert list((interrupted.store / "ray-train").iterdir()) == []


def test_more_workers_than_fit_are_refused_at_once(ray_plan: Plan, tmp_path: Path) -> None:
    recipe = ray_plan.recipe
    workers = WorkerGroup(num_workers=64, cpus_per_worker=1)
    too_many = replace(recipe, probe=replace(recipe.probe, workers=workers))
    step = probe_again(tmp_path, ray_plan, too_many)
    with pytest.raises(InputError, match="wants 64 workers"):
        make_steps([step], Store(tmp_path), start_executor("numpy"))


@pytest.mark.long
def test_a_training_that_hangs_is_given_up_after_the_patience(
    ray_plan: Plan, tmp_path: Path
) -> None:
    """Row 3 of the faults: a Train worker that hangs, although its process answers."""
    step = with_program(probe_again(tmp_path, ray_plan), hanging)
    executor = start_executor("numpy", Placement(patience_s=3.0))
    with pytest.raises(RunError, match="^nothing of probe was finished in 3 s: a process hangs"):
        make_steps([step], Store(tmp_path), executor)
    assert not step.artifact.exists


def test_two_workers_train_one_model_in_every_training_stage(
    ray_plan: Plan, digits: Path, tmp_path: Path
) -> None:
    """Two DDP workers on gloo; batch statistics differ from one worker's, and so do the models.

    What the stages need is taken from the finished run, so that one group trains all of them.
    """
    recipe = tiny.recipe(digits, num_workers=2)
    context = context_in(tmp_path, ray_plan)
    suspect = ray_plan.dataset.step
    assert recipe.backdoored is not None
    assert ray_plan.backdoored is not None
    steps = [
        probe_again(tmp_path, ray_plan, recipe),
        backdoored_step(recipe.backdoored, suspect, context),
    ]
    repairable = BackdooredModel(ray_plan.backdoored, recipe.backdoored)
    for defense in recipe.defenses:
        step = defend_step(defense, suspect, ray_plan.split, backdoored=repairable, context=context)
        steps.append(step)
    removal = recipe.defenses[0]
    assert isinstance(removal, BackdoorRemoval)
    in_company = replace(removal, companions=3, unlearn_above=0.0)
    step = defend_step(in_company, suspect, ray_plan.split, backdoored=repairable, context=context)
    steps.insert(-1, step)
    make_steps(steps, context.store, start_executor("numpy"))
    for step in steps:
        history = read_json(step.artifact.path / "metrics.json")["history"]
        assert len(history) >= 2
        for epoch in history:
            assert np.isfinite(list(epoch.values())).all()
        assert "model.safetensors" in step.artifact.hashes
    assert len(history) == 4  # of D-ST, which is the last
