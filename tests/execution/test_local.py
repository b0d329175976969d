"""The executor in this process: jobs, blocks and trials in order, one worker, one error."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from ray_defense.core.errors import InputError, RunError, TrialStopped
from ray_defense.core.progress import ProgressEvent, listening
from ray_defense.execution.local import LocalExecutor, LocalWorker
from ray_defense.execution.protocols import BlockJob, TrainJob, TrialsJob, Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.store.artifacts import Artifact, Store
from tests.support.steps import CPU, local_executor

Program = Callable[[Worker, Artifact, list[str]], None]


def make_job(
    root: Path, stage: str, program: Program, inputs: list[str], num_workers: int = 1
) -> TrainJob[list[str]]:
    """Returns the job of a stage whose working directory is ready."""
    artifact = Store(root).locate(stage, 1, {}, {})
    artifact.scratch.mkdir(parents=True)
    group = WorkerGroup(num_workers, cpus_per_worker=1)
    return TrainJob(program, artifact, inputs, workers=group, num_epochs=3)


def make_jobs(
    root: Path, programs: Mapping[str, Program], inputs: list[str]
) -> list[TrainJob[list[str]]]:
    """Returns a job for each program by the stage that it makes."""
    jobs = []
    for stage, program in programs.items():
        jobs.append(make_job(root, stage, program, inputs))
    return jobs


def note_run(worker: Worker, artifact: Artifact, runs: list[str]) -> None:
    """Notes the stage and fills the artifact."""
    runs.append(artifact.stage)
    (artifact.work / "a.txt").write_text("made")


def fail(worker: Worker, artifact: Artifact, runs: list[str]) -> None:
    runs.append(artifact.stage)
    raise RunError(f"{artifact.stage} failed")


def run_three_epochs(worker: Worker, artifact: Artifact, runs: list[str]) -> None:
    for number in (1, 2, 3):
        runs.append(f"{artifact.stage} {number}")
        worker.report_epoch(number, {"loss": 1 / number})


def test_the_local_executor_publishes_once_and_trains_on_the_threads_of_the_group(tmp_path):
    threads = []

    def program(worker: Worker, artifact: Artifact, inputs: list[str]) -> None:
        threads.append(torch.get_num_threads())
        (artifact.work / "a.txt").write_text("made")

    job = make_job(tmp_path, "probe", program, [])
    before = torch.get_num_threads()
    local_executor().train([job, job])
    assert threads == [1]
    assert torch.get_num_threads() == before
    assert list(job.artifact.hashes) == ["a.txt"]
    assert not (job.artifact.path / "scratch").exists()


def test_the_local_executor_has_one_worker(tmp_path):
    runs: list[str] = []
    job = make_job(tmp_path, "probe", note_run, runs, num_workers=2)
    for train in (local_executor().train, local_executor().train_side_by_side):
        with pytest.raises(InputError, match=r"probe.workers.num_workers is 2"):
            train([job])
    assert runs == []


def test_jobs_side_by_side_all_run_before_the_first_error_is_raised(tmp_path):
    runs: list[str] = []
    programs = {"a": note_run, "b": fail, "c": note_run, "d": fail}
    jobs = make_jobs(tmp_path, programs, runs)
    with pytest.raises(RunError, match="b failed"):
        local_executor().train_side_by_side(jobs)
    assert runs == ["a", "b", "c", "d"]
    assert [job.artifact.exists for job in jobs] == [True, False, True, False]


def test_jobs_side_by_side_run_at_once_and_leave_torch_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr("ray_defense.execution.local.slots_of_this_process", lambda cpus: 2)
    barrier = threading.Barrier(2)
    threads: list[int] = []

    def meet(worker: Worker, artifact: Artifact, inputs: list[str]) -> None:
        barrier.wait(60)
        threads.append(torch.get_num_threads())
        note_run(worker, artifact, inputs)
        barrier.wait(60)

    before = torch.get_num_threads()
    runs: list[str] = []
    jobs = make_jobs(tmp_path, {"a": meet, "b": meet}, runs)
    # A job that wants more threads of torch does not keep the others from each other.
    larger = make_job(tmp_path, "larger", note_run, runs)
    jobs.insert(1, replace(larger, workers=WorkerGroup(cpus_per_worker=2)))
    local_executor().train_side_by_side(jobs)
    assert sorted(runs) == ["a", "b", "larger"]
    assert all(job.artifact.exists for job in jobs)
    assert threads == [1, 1]
    assert torch.get_num_threads() == before
    runs.clear()
    failing = make_jobs(tmp_path / "failing", {"a": fail, "b": note_run, "c": fail}, runs)
    with pytest.raises(RunError, match="a failed"):
        local_executor().train_side_by_side(failing)
    assert "b" in runs


def test_jobs_in_a_group_end_at_the_first_error(tmp_path):
    runs: list[str] = []
    programs = {"a": note_run, "b": fail, "c": note_run}
    jobs = make_jobs(tmp_path, programs, runs)
    with pytest.raises(RunError, match="b failed"):
        local_executor().train(jobs)
    assert runs == ["a", "b"]
    assert [job.artifact.exists for job in jobs] == [True, False, False]


def test_every_epoch_is_reported_to_the_listeners_of_progress_and_of_epochs(tmp_path):
    events: list[ProgressEvent] = []
    epochs = []
    executor = LocalExecutor("numpy", CPU, lambda *epoch: epochs.append(epoch))
    with listening(events.append):
        executor.train([make_job(tmp_path, "probe", run_three_epochs, [])])
    without_metrics = [replace(event, metrics={}) for event in events]
    assert without_metrics == [ProgressEvent("probe", number, 3) for number in range(4)]
    assert events[1].metrics == {"loss": 1.0}
    assert epochs == [("probe", number, {"loss": 1 / number}) for number in (1, 2, 3)]


def test_who_listens_to_epochs_may_stop_the_trial(tmp_path):
    def stop_at_2(stage: str, number: int, metrics: dict[str, float]) -> None:
        if number == 2:
            raise TrialStopped

    runs: list[str] = []
    executor = LocalExecutor("numpy", CPU, stop_at_2)
    job = make_job(tmp_path, "probe", run_three_epochs, runs)
    with pytest.raises(TrialStopped):
        executor.train([job])
    assert runs == ["probe 1", "probe 2"]
    assert not job.artifact.exists


def test_a_stopped_trial_also_ends_jobs_side_by_side(tmp_path):
    def stop(stage: str, number: int, metrics: dict[str, float]) -> None:
        raise TrialStopped

    runs: list[str] = []
    executor = LocalExecutor("numpy", CPU, stop)
    jobs = make_jobs(tmp_path, dict.fromkeys("ab", run_three_epochs), runs)
    with pytest.raises(TrialStopped):
        executor.train_side_by_side(jobs)
    assert runs == ["a 1"]


def test_a_worker_alone_wraps_gathers_and_sums_nothing(tmp_path):
    artifact = Store(tmp_path).locate("probe", 1, {}, {})
    worker = LocalWorker(artifact, 3, CPU, "numpy")
    model = torch.nn.Linear(2, 1)
    tensor = torch.arange(3.0, requires_grad=True)
    assert worker.world_size == 1
    assert worker.wrap(model, partly_used=True) is model
    assert worker.gather(tensor) is tensor
    assert worker.sum(tensor) is tensor


@dataclass(frozen=True)
class WritingNumbers:
    """Writes a file for each block."""

    folder: Path
    opened: list[int]  # threads at each opening
    written: list[int]

    def __call__(self, block: int) -> None:
        part_of(self, block)[0].touch()
        self.written.append(block)


def part_of(inputs: WritingNumbers, block: int) -> list[Path]:
    return [inputs.folder / str(block)]


def open_writing(inputs: WritingNumbers, device: torch.device, backend: str) -> WritingNumbers:
    inputs.opened.append(torch.get_num_threads())
    return inputs


def test_only_missing_blocks_are_made_and_what_makes_them_is_opened_once(tmp_path):
    inputs = WritingNumbers(tmp_path, opened=[], written=[])
    job = BlockJob("evidence", open_writing, inputs, range(4), part_of, cpus_per_actor=1)
    part_of(inputs, 2)[0].touch()
    events: list[ProgressEvent] = []
    with listening(events.append):
        local_executor().run_blocks(job)
        local_executor().run_blocks(job)
    assert inputs.written == [0, 1, 3]
    assert inputs.opened == [1]
    assert events == [ProgressEvent("evidence", number, 3) for number in range(4)]


def test_a_map_keeps_the_order(tmp_path):
    assert local_executor().map(str, [3, 1, 2]) == ["3", "1", "2"]


def test_a_trial_that_fails_leaves_the_others_alone_and_another_error_is_raised(tmp_path):
    runs = []

    def run(trial: int, executor: LocalExecutor) -> None:
        runs.append(trial)
        if trial == 1:
            raise RunError("of this trial")
        if trial == 3:
            raise KeyboardInterrupt

    executor = local_executor()
    executor.run_trials(TrialsJob(run, [0, 1, 2], workers=[], folder=tmp_path))
    assert runs == [0, 1, 2]
    with pytest.raises(KeyboardInterrupt):
        executor.run_trials(TrialsJob(run, [3, 4], workers=[], folder=tmp_path))
    assert runs == [0, 1, 2, 3]


def test_the_resources_are_those_of_this_machine():
    resources = local_executor().resources(cpus_per_actor=1)
    assert resources.num_nodes == 1
    assert resources.num_actors == 1
    assert resources.num_cpus >= 1


def train_on_one_tiny_image(worker: Worker, artifact: Artifact, inputs: list[str]) -> None:
    size = 1 if inputs == ["a pixel"] else 8
    torch.nn.BatchNorm2d(3)(torch.rand(1, 3, size, size))
    raise ValueError("something else")


def test_a_batch_of_one_pixel_is_refused_with_the_remedy(tmp_path):
    """Images of 8 pixels and a last batch of one ended in a traceback of torch."""
    job = make_job(tmp_path, "probe", train_on_one_tiny_image, ["a pixel"])
    with pytest.raises(InputError, match=r"probe: a batch of one image.* raise source.size"):
        local_executor().train([job])
    job = make_job(tmp_path, "other", train_on_one_tiny_image, ["more"])
    with pytest.raises(ValueError, match="something else"):
        local_executor().train([job])
