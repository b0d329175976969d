"""recipe, axes --sweep--> one table: a run for each combination; what several trials share is made once, before them."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ray_defense.core.config import to_plain
from ray_defense.core.errors import Failed, RayDefenseError, Refused
from ray_defense.core.files import read_json, write_bytes, write_json
from ray_defense.data.suspect_dataset import write_table
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Executor, Judge, SweepJob, TrainJob
from ray_defense.pipeline import pipeline
from ray_defense.pipeline.pipeline import Plan, Recipe
from ray_defense.reports import metrics as blind
from ray_defense.reports import sweep_page
from ray_defense.reports.result import Result
from ray_defense.stages import detect as score
from ray_defense.stages.context import Context, train_missing
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.sweeps.asha import Halving
from ray_defense.sweeps.grid import Trial, named
from ray_defense.sweeps.search import Search

VERSION = 2

Way = Search | Halving | None  # how to go through the trials; None: all of them, to their ends


@dataclass(frozen=True)
class Overview:
    """What a sweep will do, before it does it."""

    num_trials: int
    found: Mapping[str, int]  # stage -> artifacts that the store holds
    to_make: Mapping[str, int]  # stage -> artifacts to be made
    epochs: Mapping[str, int]  # training stage -> epochs to be run, over all its artifacts
    clean_passes: int  # of the dataset through a probe, for the scores to be made
    transformed_passes: int


def overview(plans: Sequence[Plan], store: Store) -> Overview:
    """Returns what `store` holds and what there is to do; what several trials share counts once."""
    artifacts = {artifact.key: (name, artifact) for plan in plans for name, artifact in plan.stages.items()}
    held = store.held(artifact for _, artifact in artifacts.values())
    found = Counter(name for key, (name, _) in artifacts.items() if key in held)
    to_make = Counter(name for key, (name, _) in artifacts.items() if key not in held)
    jobs = {job.artifact.key: (name, job) for plan in plans for name, job in plan.jobs.items()}
    epochs = Counter()
    for name, job in jobs.values():
        epochs[name] += 0 if job.artifact.key in held else job.num_epochs
    scores = {plan.score.key: plan for plan in plans if plan.score.key not in held}
    probes = {plan.score.inputs["probe"] for plan in scores.values()}
    draws = sum(plan.score.config["config"]["score"]["draws"] for plan in scores.values())
    return Overview(len(plans), found, to_make, +epochs, len(probes), draws)


def plan(trials: Sequence[Trial], store: Store, executor: Executor) -> list[Plan]:
    """Returns the plan of every trial; makes nothing. Raises Refused for a trial that could not run."""
    plans = []
    for trial in trials:
        try:
            pipeline.check(trial.recipe)
        except Refused as error:
            raise Refused(f"trial {trial.number} ({named(trial)}): {error}") from None
        plans.append(pipeline.plan(trial.recipe, _context(trial, store, executor)))
    return plans


def _context(trial: Trial, store: Store, executor: Executor) -> Context:
    return Context(store, executor, trial.recipe.seed, trial.recipe.normalization)


def check(trials: Sequence[Trial], way: Way, executor: str) -> None:
    """Raises Refused where the trials cannot be gone through in that way by an executor of that name."""
    match way:
        case Search():
            way.check(trials)
        case Halving():
            way.check(trials, executor)


def place(base: Recipe, trials: Sequence[Trial], plans: Sequence[Plan], store: Store, way: Way) -> Artifact:
    """Returns where the table of these trials stands; other files of the source make other evaluations, so another table."""
    described = {"recipe": base, "trials": [trial.changes for trial in trials], "way": way}
    inputs = {f"trial {trial.number}": one.evaluation for trial, one in zip(trials, plans, strict=True)}
    return store.place("sweep", VERSION, described, inputs)


def check_unfinished(base: Recipe, trials: Sequence[Trial], store: Store, way: Way) -> None:
    """Raises Refused where `store` has nothing of this sweep that could be resumed: it is finished, or was never begun."""
    artifact = place(base, trials, plan(trials, store, LocalExecutor()), store, way)
    if store.held([artifact]):
        table = f"{store}/{artifact.stage}/{artifact.key}/table.parquet"
        raise Refused(f"nothing to resume: this sweep is finished, its table is {table}; show it by leaving --resume out")
    if not artifact.work.exists():
        raise Refused(
            f"nothing to resume: no sweep of these {len(trials)} trials was begun in the store {store}; "
            "begin it by leaving --resume out"
        )


def run(base: Recipe, trials: Sequence[Trial], store: Store, executor: Executor, way: Way = None) -> Artifact:
    """Runs the trials, or those of them that `way` chooses: `table.parquet` (one row each) and `sweep.html`.

    Rows stand by number, those of a search in the order of its choices. A finished trial is not run again. Trials that fail
    leave the others alone; then, at the end, raises Failed naming them, and the same call runs those alone.
    """
    check(trials, way, executor.name)
    plans = plan(trials, store, executor)
    artifact = place(base, trials, plans, store, way)
    with store.claim(artifact) as missing:
        if not missing:
            return artifact
        start = time.perf_counter()
        rows = artifact.scratch / "rows"
        rows.mkdir(exist_ok=True)
        planned = dict(zip(trials, plans, strict=True))
        keys = {trial.number: planned[trial].evaluation.key for trial in trials}
        work = partial(run_trial, store, rows, keys)

        def attempt(some: Sequence[Trial], judge: Judge | None = None) -> None:
            todo = [trial for trial in some if not _row_file(rows, trial).exists()]
            make_shared(todo, [planned[trial] for trial in todo], store, executor)
            if todo:
                workers = [_workers(planned[trial]) for trial in todo]
                executor.sweep(SweepJob(work, todo, workers, artifact.scratch / "executor", judge))

        def measure(some: Sequence[Trial]) -> list[float | None]:
            attempt(some)
            return [(_read_row(rows, trial) or {}).get(way.metric) for trial in some]

        chosen = trials
        match way:
            case Search():
                chosen = way.choose(trials, base.seed, measure)
            case Halving():
                _run_judged(way, planned, rows, attempt)
            case None:
                attempt(trials)
        done = {trial: found for trial in chosen if (found := _read_row(rows, trial))}
        lost = {trial.number: _error(rows, trial) for trial in chosen if trial not in done}
        table = list(done.values())
        if table:
            write_table(artifact.work / "table.parquet", pa.Table.from_pylist(table))
        if lost:
            number, reason = next(iter(lost.items()))
            raise Failed(
                f"{len(lost)} of {len(chosen)} trials failed, the first of them trial {number}: {reason}; "
                f"the others are in {artifact.work / 'table.parquet'}; the same command runs the failed ones again"
            )
        write_bytes(artifact.work / "sweep.html", sweep_page.render(to_plain(base), table).encode())
        artifact.publish(time.perf_counter() - start)
    return artifact


def _run_judged(way: Halving, planned: Mapping[Trial, Plan], rows: Path, attempt: Callable[..., None]) -> None:
    """Runs the trials, of those that share the judged artifact one before the others; if it is stopped, so are they.

    That one trains the artifact itself: what trials share is made before them, where nobody judges it.
    """
    leaders = way.leaders(planned)
    stop = partial(stop_trial, rows, way.stage)
    first = list(dict.fromkeys(leaders.values()))
    attempt(first, Judge(way.stage, way.metric, way.mode, way.num_epochs(first), stop))
    others = [trial for trial, leader in leaders.items() if trial is not leader]
    for trial in others:
        found = _read_row(rows, leaders[trial])
        if found and found["stopped"] and not _row_file(rows, trial).exists():
            write_json(_row_file(rows, trial), row(trial, None) | {"stopped": found["stopped"]})
    attempt(others)


def make_shared(trials: Sequence[Trial], plans: Sequence[Plan], store: Store, executor: Executor) -> None:
    """Makes what two or more trials need, by the executor as a whole: datasets, trained models, scores.

    Scores of one probe are made in one pass over the data and of the clean views. What cannot be made is left to the
    trials that need it, each of which then says why.
    """
    contexts = [_context(trial, store, executor) for trial in trials]
    uses = Counter(artifact.key for one in plans for artifact in one.stages.values())
    shared = [index for index, one in enumerate(plans) if uses[one.suspect.key] > 1]
    for index in {plans[index].suspect.key: index for index in shared}.values():
        with contextlib.suppress(RayDefenseError):
            pipeline.make_suspect(trials[index].recipe, contexts[index])
    jobs = [job for job in _shared_jobs(plans, uses, ("probe", "backdoored")) if job.inputs["suspect"].exists]
    if jobs:
        with contextlib.suppress(RayDefenseError):  # those after one that fails, too, are left to their trials
            train_missing(contexts[0], jobs)
    groups: dict[Any, list[int]] = {}
    for index in shared:
        way = trials[index].recipe.score
        key = (plans[index].probe.artifact.key, way.batch_size, way.block_size, way.cpus_per_actor)
        groups.setdefault(key, []).append(index)
    for group in groups.values():
        first, recipe = plans[group[0]], trials[group[0]].recipe
        if len(group) > 1 and first.probe.artifact.exists:
            ways = {plans[index].score.key: trials[index].recipe.score for index in group}
            given = (first.suspect, first.probe.artifact, recipe.probe.model, contexts[group[0]])
            with contextlib.suppress(RayDefenseError):
                score.run_ways(list(ways.values()), *given)
    # what defenses share needs their splits, which trials make in no time; trials that share a defense take turns


def _shared_jobs(plans: Sequence[Plan], uses: Counter, names: Sequence[str]) -> list[TrainJob]:
    jobs = {one.jobs[name].artifact.key: one.jobs[name] for one in plans for name in names if name in one.jobs}
    return [job for key, job in jobs.items() if uses[key] > 1]


def _workers(plan: Plan) -> tuple[int, int]:
    """Returns how many workers of how many CPUs a trial's largest training stage wants."""
    workers = [job.config.workers for job in plan.jobs.values()]
    return max(one.num_workers for one in workers), max(one.cpus_per_worker for one in workers)


def run_trial(store: Store, rows: Path, planned: Mapping[int, str], trial: Trial, executor: Executor) -> None:
    """Runs one trial, without a report, and writes its row, or beside it what it failed by, which is raised.

    A trial that is refused has a row, too: twice the same flip moves no image, so that there is nothing to assess. One
    fails, too, whose evaluation is not the planned one, trial number -> key: its files changed under the sweep.
    """
    try:
        context = _context(trial, store, executor)
        made = pipeline.make(trial.recipe, context)
        if made.evaluation.key != planned[trial.number]:
            raise Failed(pipeline.CHANGED)
        found = Result.from_plain(pipeline.summarize(trial.recipe, made.stages))
        seen = blind.numbers(trial.recipe.split, made.stages)
    except Refused as error:
        write_json(_row_file(rows, trial), row(trial, None) | {"refused": str(error)})
        return
    except Failed as error:
        write_json(_row_file(rows, trial).with_suffix(".error"), {"error": str(error)})
        raise
    write_json(_row_file(rows, trial), row(trial, found) | seen)


def stop_trial(rows: Path, stage: str, trial: Trial, num_epochs: int) -> None:
    """Writes the row, without numbers, of a trial that was stopped after so many epochs of `stage`."""
    said = f"by ASHA after {num_epochs} {'epoch' if num_epochs == 1 else 'epochs'} of {stage}"
    write_json(_row_file(rows, trial), row(trial, None) | {"stopped": said})


def row(trial: Trial, result: Result | None) -> dict[str, Any]:
    """Returns the numbers of a trial under flat names; rates are fractions in [0, 1], None where there is none.

    `blind.NUMBERS` are None.
    """
    score, counts = result and result.score, result.score.trusted_class_counts if result else []
    found: dict[str, Any] = {"trial": trial.number, **dict(trial.changes)}
    found |= {name: getattr(score, name, None) for name in ("auroc", "trusted_precision", "poisoned_precision")}
    found |= {"trusted_least": min(counts, default=None), "trusted_most": max(counts, default=None)}
    for name in ("backdoored", "d_br", "d_st"):
        model = getattr(result, name, None)
        found |= {f"{name}_acc": model and model.acc, f"{name}_asr": model and model.asr}
    found |= dict.fromkeys(blind.NUMBERS)
    return found | {"weak_attack": result and result.weak_attack, "refused": None, "stopped": None}


def _row_file(rows: Path, trial: Trial) -> Path:
    return rows / f"{trial.number:05d}.json"


def _read_row(rows: Path, trial: Trial) -> dict[str, Any] | None:
    path = _row_file(rows, trial)
    return read_json(path) if path.exists() else None


def _error(rows: Path, trial: Trial) -> str:
    path = _row_file(rows, trial).with_suffix(".error")
    return read_json(path)["error"] if path.exists() else "its process died"
