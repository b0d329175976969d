"""Sweeps on Ray Tune: one trial a process with the CPUs (or GPU) of its largest training stage.

A trial whose process died runs again and goes on where the store says.
"""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from ray_defense.cluster.errors import ray_errors_told
from ray_defense.cluster.patience import PATIENCE_S, Patience, Watchdog
from ray_defense.cluster.resources import cpu_slots, gpus_for_each, largest_node_cpus
from ray_defense.cluster.signal_handlers import kept_signal_handlers
from ray_defense.core.errors import RayDefenseError, TrialStopped
from ray_defense.core.progress import ProgressEvent, listening, report_progress
from ray_defense.execution.local import EpochListener
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import EarlyStopping, Executor, Metrics, TrialsJob

# Of a trial that only starts others; Tune refuses a request for nothing.
DRIVER_RESOURCES = {"cpu": 0, "memory": 1 << 20}
MAX_FAILURES = 2  # of a trial's process
_EPOCH = "epoch"


class TrialProgress(tune.Callback):  # type: ignore[misc]
    """Reports how many trials have ended."""

    def __init__(self, num_trials: int):
        self._num_ended = 0
        self._num_trials = num_trials

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._num_ended += 1
        report_progress("sweep", self._num_ended, self._num_trials)

    on_trial_error = on_trial_complete


class StopRecorder(tune.Callback):  # type: ignore[misc]
    """Keeps, at once, which trials the scheduler has stopped: the driver may be killed."""

    def __init__(self, job: TrialsJob):
        self._job = job

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        stopping = self._job.early_stopping
        result = trial.last_result
        # The last report of a trial that came to its end has no epoch.
        if stopping is not None and result.get("done") and _EPOCH in result:
            stopping.record_stop(self._job.trials[trial.config["number"]], result[_EPOCH])


@dataclass(frozen=True)
class TrialExecutors:
    """How the process of a trial makes its executor."""

    alone: Callable[[EpochListener | None], Executor]  # everything in that process
    several: Callable[[], Executor]  # for training stages of several workers


def run_one_trial(
    config: dict[str, int],
    job: TrialsJob,
    executors: TrialExecutors,
    parallel: bool,
    patience_s: float = PATIENCE_S,
) -> None:
    """What the process of a trial runs.

    An error of ours is kept by the job; the trial would fail the same way again. A process whose
    trial brings nothing ends, and Tune starts another one.
    """
    patience = Patience(patience_s)
    number = config["number"]

    def note_news(event: ProgressEvent) -> None:
        patience.news()  # also if it waits for what another trial makes

    error_file = job.folder / f"hanging-{number}"
    with Watchdog(f"trial {number}", patience, error_file), listening(note_news):
        _run_trial(number, job, executors, parallel)


def _run_trial(number: int, job: TrialsJob, executors: TrialExecutors, parallel: bool) -> None:
    if parallel:
        executor = executors.several()
    else:
        listener = None
        if job.early_stopping is not None:
            listener = partial(report_epoch_to_tune, job.early_stopping)
        executor = executors.alone(listener)
    try:
        with contextlib.suppress(RayDefenseError):
            job.run(job.trials[number], executor)
    except TrialStopped:
        # After a return Tune would wait for one more report, and the process could not be reused.
        raise SystemExit(0) from None
    tune.report({"done": 1})


def report_epoch_to_tune(
    stopping: EarlyStopping, stage: str, number: int, metrics: Metrics
) -> None:
    """Hands what an epoch gave to the scheduler.

    Raises:
        TrialStopped: If the scheduler stops the trial; Tune says so by SystemExit.
    """
    if stage != stopping.stage or stopping.metric not in metrics:
        return
    try:
        tune.report({stopping.metric: metrics[stopping.metric], _EPOCH: number})
    except SystemExit:
        raise TrialStopped(f"after {number} epochs of {stage}") from None


def scheduler_of(stopping: EarlyStopping | None) -> ASHAScheduler | None:
    """Returns the scheduler that stops trials early."""
    if stopping is None:
        return None
    return ASHAScheduler(
        time_attr=_EPOCH,
        metric=stopping.metric,
        mode=stopping.mode,
        max_t=stopping.num_epochs,
        stop_last_trials=False,
    )


def run_trials_on_tune(
    job: TrialsJob, executors: TrialExecutors, placement: Placement, patience_s: float
) -> None:
    """Runs every trial of a job, each with an executor that its process makes.

    Where a training stage wants several workers trials hold no CPU themselves: a trial that held
    some would starve the workers that it starts.

    Args:
        job: The trials.
        executors: How the process of a trial makes its executor.
        placement: What each trial may ask of the cluster.
        patience_s: How long a trial may bring nothing before its process is replaced.
    """
    num_workers = max(group.num_workers for group in job.workers)
    num_cpus = max(group.cpus_per_worker for group in job.workers)
    parallel = num_workers > 1
    resources: dict[str, float] = {"cpu": min(num_cpus, largest_node_cpus())}
    num_gpus = gpus_for_each(placement.gpus_per_worker, 1)
    if num_gpus:
        resources["gpu"] = num_gpus
    max_concurrent = max(1, cpu_slots(num_cpus) // num_workers) if parallel else None
    trainable = tune.with_parameters(
        run_one_trial, job=job, executors=executors, parallel=parallel, patience_s=patience_s
    )
    # What is done stands in the store, not in Tune's own records.
    shutil.rmtree(job.folder, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(trainable, DRIVER_RESOURCES if parallel else resources),
        param_space={"number": tune.grid_search(list(range(len(job.trials))))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=max_concurrent,
            scheduler=scheduler_of(job.early_stopping),
            reuse_actors=True,  # starting a process takes longer than many a trial
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(job.folder),
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            callbacks=[TrialProgress(len(job.trials)), StopRecorder(job)],
            verbose=0,
        ),
    )
    report_progress("sweep", 0, len(job.trials))
    with kept_signal_handlers(), ray_errors_told("sweep"):
        tuner.fit()
