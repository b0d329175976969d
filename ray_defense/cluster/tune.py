"""Sweeps on Ray Tune: one trial a process with the CPUs (or the GPU) of its largest training stage; a dead one runs again."""

import contextlib
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler

from ray_defense.cluster.resources import cpu_slots, gpus_each, largest_node
from ray_defense.cluster.signals import own_signals
from ray_defense.core import progress
from ray_defense.core.errors import RayDefenseError
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import Executor, Judge, SweepJob

DRIVER = {"cpu": 0, "memory": 1 << 20}  # of a trial that only starts others; Tune refuses a request for nothing
_EPOCH = "epoch"
MAX_FAILURES = 2  # of a trial's process: each time it goes on where the store says


class Progress(tune.Callback):
    """Tells how many trials have ended."""

    def __init__(self, total: int):
        self._ended, self._total = 0, total

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended += 1
        progress.tell("sweep", self._ended, self._total)

    on_trial_error = on_trial_complete


class Stops(tune.Callback):
    """Leaves a result of every trial that the scheduler has stopped, at once: the driver may be killed."""

    def __init__(self, job: SweepJob):
        self._job = job

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        last = trial.last_result
        if self._job.judge and last.get("done") and _EPOCH in last:  # one that came to its end says nothing of epochs last
            self._job.judge.stop(self._job.trials[trial.config["number"]], last[_EPOCH])


def run_one(config: dict[str, int], job: SweepJob, make: Callable[[], Executor]) -> None:
    """What a trial's process runs; an error of ours is kept by the job, and the trial would fail the same way again."""
    progress.judge(job.judge and partial(report_epoch, job.judge))
    with contextlib.suppress(RayDefenseError):
        job.run(job.trials[config["number"]], make())
    tune.report({"done": 1})


def report_epoch(judge: Judge, stage: str, state: Mapping[str, Any]) -> None:
    """Hands what an epoch gave to the scheduler; does not return, but leaves by SystemExit, where that stops the trial."""
    if stage == judge.stage and judge.metric in state:
        tune.report({judge.metric: state[judge.metric], _EPOCH: state["epoch"]})


def scheduler(judge: Judge | None) -> ASHAScheduler | None:
    """Returns the scheduler that stops trials as `judge` says."""
    if judge is None:
        return None
    return ASHAScheduler(time_attr=_EPOCH, metric=judge.metric, mode=judge.mode, max_t=judge.num_epochs, stop_last_trials=False)


def sweep(job: SweepJob, alone: Callable[[], Executor], several: Callable[[], Executor], placement: Placement) -> None:
    """Runs every trial of `job`, each with an executor that its process makes by `alone`.

    Where a training stage wants several workers it is `several`, and trials hold no CPU themselves: a trial that held some
    would starve the workers that it starts.
    """
    num_workers, cpus = (max(one) for one in zip(*job.workers, strict=True))
    parallel = num_workers > 1
    num_gpus = gpus_each(placement.gpus_per_worker, 1)
    resources = {"cpu": min(cpus, largest_node())} | ({"gpu": num_gpus} if num_gpus else {})
    trainable = tune.with_parameters(run_one, job=job, make=several if parallel else alone)
    shutil.rmtree(job.folder, ignore_errors=True)  # what is done stands in the store, not in Tune's own records
    tuner = tune.Tuner(
        tune.with_resources(trainable, DRIVER if parallel else resources),
        param_space={"number": tune.grid_search(list(range(len(job.trials))))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=max(1, cpu_slots(cpus) // num_workers) if parallel else None,
            scheduler=scheduler(job.judge),
            reuse_actors=True,  # starting a process takes longer than many a trial
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(job.folder),
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            callbacks=[Progress(len(job.trials)), Stops(job)],
            verbose=0,
        ),
    )
    with own_signals():
        tuner.fit()
