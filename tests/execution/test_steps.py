"""Making steps: what is made, in which order, together with what, and what is left alone."""

import shutil
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ray_defense.core.errors import InputError, RunError
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Executor, TrainJob, Worker
from ray_defense.execution.steps import (
    FunctionWork,
    SmallTrainingWork,
    Step,
    TrainingWork,
    make_steps,
    unsettled_steps,
    with_needs,
)
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.store.artifacts import Artifact, Store
from tests.support.remote_stores import URI, lose_working_directory, open_bucket_in, read_files
from tests.support.steps import CPU


@dataclass(frozen=True)
class FakeWork:
    """Publishes its steps with a file each, and notes which it made together."""

    batches: list[list[str]]
    bundle: Hashable | None = None
    fails: bool = False
    shares_pass: bool = False

    def make(self, steps: Sequence[Step], executor: Executor) -> None:
        self.batches.append([step.artifact.stage for step in steps])
        if self.fails:
            raise RunError(f"{steps[0].artifact.stage} failed")
        for step in steps:
            (step.artifact.work / "a.txt").write_text("made")
            step.artifact.publish(0.0)


class RecordingExecutor(LocalExecutor):
    """Keeps which stores it was asked about, and which jobs it was given at a time."""

    def __init__(self) -> None:
        super().__init__("numpy", CPU)
        self.checked: list[Path] = []
        self.trained: list[list[str]] = []
        self.trained_side_by_side: list[list[str]] = []

    def check_store(self, root: Path) -> None:
        self.checked.append(root)

    def train(self, jobs: Sequence[TrainJob[None]]) -> None:
        self.trained.append([job.artifact.stage for job in jobs])
        super().train(jobs)

    def train_side_by_side(self, jobs: Sequence[TrainJob[None]]) -> None:
        self.trained_side_by_side.append([job.artifact.stage for job in jobs])
        for job in jobs:
            super().train([job])


@dataclass
class Workshop:
    """A store in which named steps are made by fake works."""

    store: Store
    executor: RecordingExecutor = field(default_factory=RecordingExecutor)
    batches: list[list[str]] = field(default_factory=list)

    def step(
        self,
        stage: str,
        *needs: Step,
        bundle: Hashable | None = None,
        fails: bool = False,
    ) -> Step:
        """Returns a step whose key depends on its stage alone."""
        artifact = self.store.locate(stage, 1, {}, {})
        return Step(artifact, needs, FakeWork(self.batches, bundle, fails))

    def make(self, *steps: Step, keep_going: bool = False) -> None:
        make_steps(steps, self.store, self.executor, keep_going=keep_going)


@pytest.fixture
def shop(tmp_path) -> Workshop:
    return Workshop(Store(tmp_path / "store"))


@dataclass(frozen=True)
class Diamond:
    """Two steps that need the same one, and one that needs both."""

    first: Step
    left: Step
    right: Step
    last: Step


def plan_diamond(shop: Workshop) -> Diamond:
    first = shop.step("first")
    left = shop.step("left", first)
    right = shop.step("right", first)
    return Diamond(first, left, right, last=shop.step("last", left, right))


def test_steps_and_what_they_need_are_listed_once_needs_first(shop):
    diamond = plan_diamond(shop)
    steps = with_needs([diamond.last, diamond.right, diamond.first])
    assert steps == [diamond.first, diamond.left, diamond.right, diamond.last]


def test_needs_are_made_first_and_every_step_once(shop):
    diamond = plan_diamond(shop)
    shop.make(diamond.last, diamond.right)
    assert shop.batches == [["first"], ["left"], ["right"], ["last"]]
    assert diamond.last.artifact.exists


def test_a_step_that_nothing_wanted_needs_is_not_made(shop):
    diamond = plan_diamond(shop)
    shop.make(diamond.left)
    assert shop.batches == [["first"], ["left"]]
    assert not diamond.last.artifact.exists


def test_ready_steps_of_a_bundle_are_made_together(shop):
    data = shop.step("data")
    other = shop.step("other", data)
    models = []
    for stage in ("model 0", "model 1", "model 2"):
        models.append(shop.step(stage, data, bundle="training"))
    scores = []
    for stage in ("score 0", "score 1"):
        scores.append(shop.step(stage, models[0], bundle="scoring"))
    shop.make(*scores, other, *models)
    # The scores were asked for first, so the model that they need is the first.
    assert ["model 0", "model 1", "model 2"] in shop.batches
    assert ["score 0", "score 1"] in shop.batches
    assert ["other"] in shop.batches
    assert len(shop.batches) == 4


def test_a_step_of_a_bundle_that_is_not_ready_yet_is_made_later(shop):
    first = shop.step("first", bundle="training")
    second = shop.step("second", first, bundle="training")
    third = shop.step("third", bundle="training")
    shop.make(second, third)
    assert shop.batches == [["first", "third"], ["second"]]


def test_bundles_that_differ_are_made_apart(shop):
    shop.make(shop.step("a", bundle=("probe", 1)), shop.step("b", bundle=("probe", 2)))
    assert shop.batches == [["a"], ["b"]]


def test_where_the_store_holds_all_nothing_is_touched_not_even_the_executor(shop, tmp_path):
    diamond = plan_diamond(shop)
    shop.make(diamond.last)
    shop.executor.checked.clear()
    shop.batches.clear()
    files = sorted((tmp_path / "store").rglob("*"))
    make_steps([diamond.last], shop.store, executor=None)
    shop.make(diamond.last, diamond.left)
    assert shop.batches == []
    assert shop.executor.checked == []
    assert sorted((tmp_path / "store").rglob("*")) == files


def test_the_executor_is_asked_about_the_store_before_anything_is_made(shop):
    class Elsewhere(RecordingExecutor):
        def check_store(self, root: Path) -> None:
            raise InputError(f"{root} is another directory there")

    with pytest.raises(InputError, match="is another directory there"):
        make_steps([shop.step("first")], shop.store, Elsewhere())
    assert shop.batches == []
    assert not list(shop.store.root.iterdir())


def test_a_need_of_a_finished_step_that_was_deleted_is_not_made_again(shop):
    diamond = plan_diamond(shop)
    shop.make(diamond.left)
    shutil.rmtree(diamond.first.artifact.path)
    shop.batches.clear()
    shop.make(diamond.left)
    assert shop.batches == []
    assert unsettled_steps([diamond.left], shop.store) == []
    # What is still to be made from it needs it again.
    shop.make(diamond.right)
    assert shop.batches == [["first"], ["right"]]


def test_a_step_that_fails_ends_the_making_with_its_error(shop):
    first = shop.step("first")
    broken = shop.step("broken", fails=True)
    last = shop.step("last")
    with pytest.raises(RunError, match="broken failed"):
        shop.make(first, broken, last)
    assert shop.batches == [["first"], ["broken"]]
    assert first.artifact.exists


def test_a_step_that_fails_leaves_out_those_that_need_it_and_no_others(shop):
    broken = shop.step("broken", fails=True)
    needs_it = shop.step("needs it", broken)
    needs_that = shop.step("needs that", shop.step("fine"), needs_it)
    independent = shop.step("independent", shop.step("fine"))
    shop.make(needs_that, independent, keep_going=True)
    assert sorted(shop.batches) == [["broken"], ["fine"], ["independent"]]
    assert independent.artifact.exists
    assert not needs_that.artifact.exists


def test_keeping_on_does_not_hide_an_error_of_the_code(shop):
    def fail(artifact: Artifact, executor: Executor) -> None:
        raise ZeroDivisionError

    artifact = shop.store.locate("broken", 1, {}, {})
    step = Step(artifact, needs=(), work=FunctionWork(fail))
    with pytest.raises(ZeroDivisionError):
        shop.make(step, keep_going=True)


def test_a_step_that_another_run_made_meanwhile_is_not_made_again(shop):
    step = shop.step("first", bundle="training")
    other = shop.step("other", bundle="training")

    class WorksBesideAnotherRun(RecordingExecutor):
        def check_store(self, root: Path) -> None:
            step.artifact.scratch.mkdir(parents=True)
            step.artifact.publish(0.0)

    make_steps([step, other], shop.store, WorksBesideAnotherRun())
    assert shop.batches == [["other"]]


def test_the_works_time_of_a_function_is_recorded(shop):
    def write(artifact: Artifact, executor: Executor) -> None:
        (artifact.work / "name.txt").write_text(executor.name)

    artifact = shop.store.locate("written", 1, {}, {})
    shop.make(Step(artifact, needs=(), work=FunctionWork(write)))
    assert (artifact.path / "name.txt").read_text() == "local"
    assert artifact.seconds >= 0


def write_weights(worker: Worker, artifact: Artifact, inputs: None) -> None:
    (artifact.work / "weights").write_text("trained")


@pytest.mark.parametrize("work_type", [TrainingWork, SmallTrainingWork])
def test_training_jobs_that_are_ready_together_are_handed_over_together(shop, work_type):
    data = shop.step("data")
    steps = []
    for stage in ("a", "b", "c"):
        artifact = shop.store.locate(stage, 1, {}, {})
        group = WorkerGroup(cpus_per_worker=1)
        job = TrainJob(write_weights, artifact, None, workers=group, num_epochs=1)
        steps.append(Step(artifact, needs=(data,), work=work_type(job)))
    shop.make(steps[1])
    shop.executor.trained.clear()
    shop.executor.trained_side_by_side.clear()
    shop.make(*steps)
    expected = [["a", "c"]]  # b is finished
    if work_type is TrainingWork:
        assert shop.executor.trained == expected
        assert shop.executor.trained_side_by_side == []
    else:
        assert shop.executor.trained_side_by_side == expected
    for step in steps:
        assert (step.artifact.path / "weights").read_text() == "trained"


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    """A folder that stands in for what `URI` names."""
    return open_bucket_in(tmp_path, monkeypatch)


@pytest.fixture
def remote_shop(bucket) -> Workshop:
    """A workshop whose store is at a URI."""
    return Workshop(Store(URI))


def test_a_finished_step_that_the_uri_lacks_is_sent_and_not_made(remote_shop, bucket):
    diamond = plan_diamond(remote_shop)
    remote_shop.make(diamond.left)
    sent = read_files(bucket)
    assert f"left/{diamond.left.key}/a.txt" in sent
    shutil.rmtree(bucket / "left")
    assert unsettled_steps([diamond.left], remote_shop.store) == [diamond.left]
    remote_shop.batches.clear()
    remote_shop.make(diamond.left)
    assert remote_shop.batches == []
    assert read_files(bucket) == sent


def test_a_step_that_only_the_uri_holds_is_fetched_and_not_made_nor_what_it_needed(remote_shop):
    diamond = plan_diamond(remote_shop)
    remote_shop.make(diamond.left)
    lose_working_directory()
    remote_shop.batches.clear()
    again = Workshop(Store(URI))
    assert unsettled_steps([plan_diamond(again).left], again.store) == [diamond.left]
    again.make(diamond.left)
    assert (diamond.left.artifact.path / "a.txt").read_text() == "made"
    assert not diamond.first.artifact.exists
    assert remote_shop.batches == again.batches == []


def test_a_fetched_need_is_there_before_the_step_that_is_made_from_it(remote_shop):
    diamond = plan_diamond(remote_shop)
    remote_shop.make(diamond.first)
    lose_working_directory()
    remote_shop.batches.clear()
    remote_shop.make(diamond.left)
    assert remote_shop.batches == [["left"]]
    assert diamond.first.artifact.exists


def test_where_here_and_the_uri_hold_all_nothing_is_touched(remote_shop):
    diamond = plan_diamond(remote_shop)
    remote_shop.make(diamond.last)
    remote_shop.batches.clear()
    make_steps([diamond.last], remote_shop.store, executor=None)
    assert remote_shop.batches == []
