"""Small jobs side by side on Ray: the local executor's bytes, several at once, and resumed."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ray_defense.cluster.session import start_executor
from ray_defense.core.errors import InputError, RunError
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Executor, TrainJob, Worker
from ray_defense.execution.steps import SmallTrainingWork, Step, make_steps, training_job
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.pipeline.plan import Plan
from ray_defense.store.artifacts import Artifact, Store
from tests.support.dying_programs import always_killed, diverging, killed_after_second_epoch
from tests.support.finished_plan import Program, probe_again

pytestmark = pytest.mark.ray
NUM_JOBS = 3
PATIENCE_S = 120


def small_steps(store: Path, plan: Plan, num_steps: int = NUM_JOBS) -> list[Step]:
    """Returns probes of different learning rates, each a small job."""
    recipe = plan.recipe
    steps = []
    for number in range(num_steps):
        sgd = replace(recipe.probe.sgd, learning_rate=0.01 * (number + 1))
        probe = probe_again(store, plan, replace(recipe, probe=replace(recipe.probe, sgd=sgd)))
        steps.append(replace(probe, work=SmallTrainingWork(training_job(probe))))
    return steps


def with_small_program(step: Step, program: Program) -> Step:
    """Returns a small step whose job runs another program."""
    return replace(step, work=SmallTrainingWork(replace(training_job(step), program=program)))


def make_in(store: Path, steps: list[Step], executor: Executor) -> None:
    make_steps(steps, Store(store), executor)


def meet_the_others(folder: Path, worker: Worker, artifact: Artifact, inputs: object) -> None:
    """Ends when two jobs have started."""
    (folder / artifact.key).touch()
    deadline = time.monotonic() + PATIENCE_S
    while len(list(folder.iterdir())) < 2:
        assert time.monotonic() < deadline, "no other job was started beside this one"
        time.sleep(0.05)


def test_ray_gives_the_models_of_the_local_executor(ray_plan: Plan, tmp_path: Path) -> None:
    on_ray = small_steps(tmp_path / "ray", ray_plan)
    local = small_steps(tmp_path / "local", ray_plan)
    make_in(tmp_path / "ray", on_ray, start_executor("numpy"))
    make_in(tmp_path / "local", local, LocalExecutor("numpy"))
    hashes = [step.artifact.hashes for step in on_ray]
    assert hashes == [step.artifact.hashes for step in local]
    assert hashes[0] != hashes[1]


def test_several_jobs_run_at_once_where_there_is_room(
    local_ray: Any, ray_plan: Plan, tmp_path: Path
) -> None:
    if local_ray.cluster_resources().get("CPU", 0) < 2:
        pytest.skip("there is room for one job only")
    folder = tmp_path / "started"
    folder.mkdir()
    steps = []
    for step in small_steps(tmp_path / "store", ray_plan, num_steps=2):
        steps.append(with_small_program(step, partial(meet_the_others, folder)))
    make_in(tmp_path / "store", steps, start_executor("numpy"))
    assert all(step.artifact.exists for step in steps)


def test_a_killed_job_resumes_to_the_same_bytes(ray_plan: Plan, tmp_path: Path) -> None:
    probe = probe_again(tmp_path / "store", ray_plan)
    step = replace(probe, work=SmallTrainingWork(training_job(probe)))
    struck = with_small_program(step, partial(killed_after_second_epoch, tmp_path))
    make_in(tmp_path / "store", [struck], start_executor("numpy"))
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "resumed").read_text() == "2"
    assert struck.artifact.hashes == ray_plan.probe.artifact.hashes


def test_a_failing_job_raises_its_error_after_the_others_have_ended(
    ray_plan: Plan, tmp_path: Path
) -> None:
    first, second = small_steps(tmp_path, ray_plan, num_steps=2)
    failing = with_small_program(first, diverging)
    with pytest.raises(RunError, match=f"^probe {failing.key} diverged: lower the learning rate$"):
        make_in(tmp_path, [failing, second], start_executor("numpy"))
    assert not failing.artifact.exists
    assert second.artifact.exists


@pytest.mark.long
def test_a_job_that_is_killed_again_and_again_ends_with_an_error_that_names_it(
    ray_plan: Plan, tmp_path: Path
) -> None:
    (step,) = small_steps(tmp_path, ray_plan, num_steps=1)
    lethal = with_small_program(step, always_killed)
    with pytest.raises(RunError, match=f"probe {lethal.key}.* run the same command again"):
        make_in(tmp_path, [lethal], start_executor("numpy"))
    assert not lethal.artifact.exists


def test_a_job_of_several_workers_is_refused(ray_plan: Plan, tmp_path: Path) -> None:
    (step,) = small_steps(tmp_path, ray_plan, num_steps=1)
    job: TrainJob[Any] = replace(training_job(step), workers=WorkerGroup(num_workers=2))
    with pytest.raises(InputError, match="probe.workers.num_workers is 2"):
        start_executor("numpy").train_side_by_side([job])
