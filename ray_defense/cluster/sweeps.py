"""Sweeps on Ray Tune: one trial a process with the CPUs (or the GPU) of its largest training stage; a dead one runs again."""

import shutil
from typing import Any

import ray
from ray import tune

from ray_defense.cluster.placement import cpu_slots, largest_node
from ray_defense.cluster.signals import own_signals
from ray_defense.core import progress
from ray_defense.core.errors import RayDefenseError
from ray_defense.core.local import LocalExecutor
from ray_defense.core.seams import Backend, Executor, SweepJob

MAX_FAILURES = 2  # of a trial's process: each time it goes on where the store says


class Progress(tune.Callback):
    """Tells how many trials have ended."""

    def __init__(self, total: int):
        self._ended, self._total = 0, total

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended += 1
        progress.tell("sweep", self._ended, self._total)

    on_trial_error = on_trial_complete


def run_one(config: dict[str, int], job: SweepJob, backend: Backend, parallel: bool) -> None:
    """What a trial's process runs; an error of ours is kept by the job, and the trial would fail the same way again."""
    try:
        job.run(job.trials[config["number"]], _executor(backend, parallel))
    except RayDefenseError:
        pass
    tune.report({"done": 1})


def _executor(backend: Backend, parallel: bool) -> Executor:
    if not parallel:
        return LocalExecutor(backend)
    from ray_defense.cluster.executor import RayExecutor

    return RayExecutor(backend)


def sweep(job: SweepJob, backend: Backend) -> None:
    """Runs every trial of `job`.

    Where a training stage wants several workers, trials hold no CPU themselves and start Ray Train runs: a trial that held
    some would starve those that it starts.
    """
    num_workers, cpus = (max(one) for one in zip(*job.workers, strict=True))
    parallel = num_workers > 1
    with_gpu = ray.cluster_resources().get("GPU", 0) >= 1
    resources = {"cpu": min(cpus, largest_node())} | ({"gpu": 1} if with_gpu else {})
    trainable = tune.with_parameters(run_one, job=job, backend=backend, parallel=parallel)
    shutil.rmtree(job.folder, ignore_errors=True)  # what is done stands in the store, not in Tune's own records
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 0} if parallel else resources),
        param_space={"number": tune.grid_search(list(range(len(job.trials))))},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=max(1, cpu_slots(cpus) // num_workers) if parallel else None,
            reuse_actors=True,  # starting a process takes longer than many a trial
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(job.folder),
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            callbacks=[Progress(len(job.trials))],
            verbose=0,
        ),
    )
    with own_signals():
        tuner.fit()
