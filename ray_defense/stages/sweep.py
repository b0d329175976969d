"""recipe, axes --sweep--> one table: a run for each combination; what several trials share is made once, before them."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import Failed, Refused
from ray_defense.core.random import stream, uniform
from ray_defense.core.seams import Executor, SweepJob, TrainJob
from ray_defense.core.store import Artifact, Store, read_json, write_bytes, write_json
from ray_defense.data.shards import write_table
from ray_defense.stages import pipeline, score, sweep_page
from ray_defense.stages.context import Context, train_missing
from ray_defense.stages.pipeline import Plan, Recipe
from ray_defense.stages.result import Result
from ray_defense.transforms import TRANSFORMS

VERSION = 1
ALL_PAIRS = "all-pairs"  # of transforms, in place of the values of score.tau: App. E's 36


@dataclass(frozen=True)
class Axis:
    """One field, or several that change together, and the values it takes."""

    path: str  # dotted, as `override` takes it; several are joined by `+`
    values: tuple[Any, ...]  # as `override` takes them


@dataclass(frozen=True)
class Trial:
    """One combination."""

    number: int
    changes: tuple[tuple[str, Any], ...]  # (path, value)
    recipe: Recipe


def parse_axis(text: str) -> Axis:
    """Returns the axis of `path=v1,v2`; values that hold commas themselves stand apart by semicolons (`a,b;c,d`).

    `a.x+b.x=1,2` changes two fields together. `score.tau=all-pairs` stands for the 36 pairs of transforms. Raises Refused
    for anything else.
    """
    path, equals, values = text.partition("=")
    if not (path and equals and values.strip(",; ")):
        raise Refused(f"an axis needs PATH=VALUE,VALUE, not {text!r}: for example --grid split.poison_fraction=0.01,0.05")
    if path == "score.tau" and values == ALL_PAIRS:
        return Axis(path, tuple(",".join(pair) for pair in itertools.product(TRANSFORMS, repeat=2)))
    found = tuple(value.strip() for value in values.split(";" if ";" in values else ",") if value.strip())
    if len(set(found)) < len(found):
        raise Refused(f"the axis {text!r} names a value twice: each is one trial")
    return Axis(path, found)


def grid(base: Recipe, axes: Sequence[Axis]) -> list[Trial]:
    """Returns one trial for every combination of values, the last axis running fastest; raises Refused as `override` does."""
    if not axes:
        raise Refused("a sweep needs at least one axis: --grid PATH=VALUE,VALUE, or a named sweep")
    if len({axis.path for axis in axes}) < len(axes):
        raise Refused("two axes name the same field: put its values into one")
    combinations = itertools.product(*([(axis.path, value) for value in axis.values] for axis in axes))
    return [_trial(base, number, changes) for number, changes in enumerate(combinations)]


def sample(base: Recipe, axes: Sequence[Axis], count: int, seed: int) -> list[Trial]:
    """Returns `count` different trials of the grid, drawn by `seed` (random search over the named values)."""
    everything = grid(base, axes)
    draws = uniform(stream(seed, "sweep"), [trial.number for trial in everything], 1)[:, 0]
    return sorted((everything[number] for number in draws.argsort(kind="stable")[:count]), key=lambda trial: trial.number)


def _trial(base: Recipe, number: int, changes: tuple[tuple[str, Any], ...]) -> Trial:
    recipe = base
    for paths, value in changes:
        for path in paths.split("+"):
            recipe = override(recipe, path, value)
    return Trial(number, tuple((path, _label(value)) for path, value in changes), recipe)


def _label(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(to_plain(value))


@dataclass(frozen=True)
class Overview:
    """What a sweep will do, before it does it."""

    num_trials: int
    found: Mapping[str, int]  # stage -> artifacts that the store holds
    to_make: Mapping[str, int]  # stage -> artifacts to be made
    epochs: Mapping[str, int]  # training stage -> epochs to be run, over all its artifacts
    clean_passes: int  # of the dataset through a probe, for the scores to be made
    transformed_passes: int


def overview(plans: Sequence[Plan]) -> Overview:
    """Returns what there is and what there is to do; what several trials share counts once."""
    artifacts = {artifact.key: (name, artifact) for plan in plans for name, artifact in plan.stages.items()}
    found = Counter(name for name, artifact in artifacts.values() if artifact.exists)
    to_make = Counter(name for name, artifact in artifacts.values() if not artifact.exists)
    jobs = {job.artifact.key: (name, job) for plan in plans for name, job in plan.jobs.items()}
    epochs = Counter()
    for name, job in jobs.values():
        epochs[name] += 0 if job.artifact.exists else job.num_epochs
    scores = {plan.score.key: plan for plan in plans if not plan.score.exists}
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
            raise Refused(f"trial {trial.number} ({_named(trial)}): {error}") from None
        plans.append(pipeline.plan(trial.recipe, _context(trial, store, executor)))
    return plans


def _named(trial: Trial) -> str:
    return ", ".join(f"{path}={value}" for path, value in trial.changes)


def _context(trial: Trial, store: Store, executor: Executor) -> Context:
    return Context(store, executor, trial.recipe.seed, trial.recipe.normalization)


def place(base: Recipe, trials: Sequence[Trial], store: Store) -> Artifact:
    """Returns where the table of these trials stands."""
    described = {"recipe": base, "trials": [trial.changes for trial in trials]}
    return store.place("sweep", VERSION, described, {})


def run(base: Recipe, trials: Sequence[Trial], store: Store, executor: Executor) -> Artifact:
    """Runs the trials: `table.parquet` (one row each, by number) and `sweep.html`.

    A finished trial is not run again. Trials that fail leave the others alone; then, at the end, raises Failed naming
    them, and the same call runs those alone.
    """
    artifact = place(base, trials, store)
    with store.claim(artifact) as missing:
        if not missing:
            return artifact
        start = time.perf_counter()
        rows = artifact.scratch / "rows"
        rows.mkdir(exist_ok=True)
        todo = [trial for trial in trials if not _row_file(rows, trial).exists()]
        make_shared(todo, store, executor)
        if todo:
            work = partial(run_trial, store.root, rows)
            executor.sweep(SweepJob(work, todo, [_workers(trial) for trial in todo], artifact.scratch / "executor"))
        done = {trial: read_json(_row_file(rows, trial)) for trial in trials if _row_file(rows, trial).exists()}
        lost = {trial.number: _error(rows, trial) for trial in trials if trial not in done}
        table = [done[trial] for trial in trials if trial in done]
        if table:
            write_table(artifact.work / "table.parquet", pa.Table.from_pylist(table))
        if lost:
            number, reason = next(iter(lost.items()))
            raise Failed(
                f"{len(lost)} of {len(trials)} trials failed, the first of them trial {number}: {reason}; "
                f"the others are in {artifact.work / 'table.parquet'}; the same command runs the failed ones again"
            )
        write_bytes(artifact.work / "sweep.html", sweep_page.render(to_plain(base), table).encode())
        artifact.publish(time.perf_counter() - start)
    return artifact


def make_shared(trials: Sequence[Trial], store: Store, executor: Executor) -> None:
    """Makes what two or more trials need, by the executor as a whole: datasets, trained models, scores.

    Scores of one probe are made in one pass over the data and of the clean views.
    """
    plans = plan(trials, store, executor)
    contexts = [_context(trial, store, executor) for trial in trials]
    uses = Counter(artifact.key for one in plans for artifact in one.stages.values())
    shared = [index for index, one in enumerate(plans) if uses[one.suspect.key] > 1]
    for index in {plans[index].suspect.key: index for index in shared}.values():
        pipeline.make_suspect(trials[index].recipe, contexts[index])
    if shared:
        train_missing(contexts[0], _shared_jobs(plans, uses, ("probe", "backdoored")))
    groups: dict[Any, list[int]] = {}
    for index in shared:
        way = trials[index].recipe.score
        key = (plans[index].probe.artifact.key, way.batch_size, way.block_size, way.cpus_per_actor)
        groups.setdefault(key, []).append(index)
    for group in groups.values():
        if len(group) > 1:
            ways = {plans[index].score.key: trials[index].recipe.score for index in group}
            first, recipe = plans[group[0]], trials[group[0]].recipe
            score.run_ways(list(ways.values()), first.suspect, first.probe.artifact, recipe.probe.model, contexts[group[0]])
    # what defenses share needs their splits, which trials make in no time; trials that share a defense take turns


def _shared_jobs(plans: Sequence[Plan], uses: Counter, names: Sequence[str]) -> list[TrainJob]:
    jobs = {one.jobs[name].artifact.key: one.jobs[name] for one in plans for name in names if name in one.jobs}
    return [job for key, job in jobs.items() if uses[key] > 1]


def _workers(trial: Trial) -> tuple[int, int]:
    """Returns how many workers of how many CPUs a trial's largest training stage wants."""
    recipe = trial.recipe
    stages = [stage for stage in (recipe.probe, recipe.backdoor, recipe.d_br, recipe.d_st) if stage is not None]
    return max(stage.workers.num_workers for stage in stages), max(stage.workers.cpus_per_worker for stage in stages)


def run_trial(root: Path, rows: Path, trial: Trial, executor: Executor) -> None:
    """Runs one trial, without a report, and writes its row, or beside it what it failed by, which is raised.

    A trial that is refused has a row, too: twice the same flip moves no image, so that there is nothing to assess.
    """
    try:
        context = _context(trial, Store(root), executor)
        plain = pipeline.measure(trial.recipe, pipeline.plan(trial.recipe, context), context)
    except Refused as error:
        write_json(_row_file(rows, trial), row(trial, None) | {"refused": str(error)})
        return
    except Failed as error:
        write_json(_row_file(rows, trial).with_suffix(".error"), {"error": str(error)})
        raise
    write_json(_row_file(rows, trial), row(trial, Result.from_plain(plain)))


def row(trial: Trial, result: Result | None) -> dict[str, Any]:
    """Returns the numbers of a trial under flat names; rates are fractions in [0, 1], None where there is none."""
    score, counts = result and result.score, result.score.trusted_class_counts if result else []
    found: dict[str, Any] = {"trial": trial.number, **dict(trial.changes)}
    found |= {name: getattr(score, name, None) for name in ("auroc", "trusted_precision", "poisoned_precision")}
    found |= {"trusted_least": min(counts, default=None), "trusted_most": max(counts, default=None)}
    for name in ("backdoored", "d_br", "d_st"):
        model = getattr(result, name, None)
        found |= {f"{name}_acc": model and model.acc, f"{name}_asr": model and model.asr}
    return found | {"weak_attack": result and result.weak_attack, "refused": None}


def _row_file(rows: Path, trial: Trial) -> Path:
    return rows / f"{trial.number:05d}.json"


def _error(rows: Path, trial: Trial) -> str:
    path = _row_file(rows, trial).with_suffix(".error")
    return read_json(path)["error"] if path.exists() else "its process died"
