"""recipe, axes --sweep--> one table: a run for each combination of values.

What several trials share is made once, before them.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ray_defense.core.config import to_plain
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import write_bytes
from ray_defense.data.sources.listing import SOURCE_CHANGED
from ray_defense.execution.protocols import EarlyStopping, Executor, TrialsJob
from ray_defense.execution.steps import (
    SmallTrainingWork,
    Step,
    TrainingWork,
    make_steps,
    training_job,
    with_needs,
)
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.pipeline.plan import Plan, plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.run import run_plan
from ray_defense.pipeline.validate import check_recipe
from ray_defense.reports.result import Result
from ray_defense.stages.detect import ScoringWork
from ray_defense.stages.summary import summarize_run
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.sweeps.asha import Asha
from ray_defense.sweeps.grid import Trial
from ray_defense.sweeps.rows import RowFolder, empty_row, result_row
from ray_defense.sweeps.search import Search

SWEEP = "sweep"
TABLE = "table.parquet"
PAGE = "sweep.html"
VERSION = 4

SearchStrategy = Search | Asha | None  # how to go through the trials; None: all, to their ends


@dataclass(frozen=True)
class SweepOverview:
    """What a sweep will do, before it does it; what several trials share counts once."""

    num_trials: int
    num_found: Mapping[str, int]  # artifacts that the store holds, by stage
    num_to_make: Mapping[str, int]  # artifacts to be made, by stage
    num_epochs: Mapping[str, int]  # to be run over all artifacts, by training stage
    num_clean_passes: int  # over the dataset, for the scores to be made
    num_transformed_passes: int


def summarize_plans(plans: Sequence[Plan], store: Store) -> SweepOverview:
    """Returns what a store holds of some plans and what is to be made."""
    steps: dict[str, tuple[str, Step]] = {}
    for plan in plans:
        for stage, step in plan.steps().items():
            steps[step.key] = (stage, step)
    finished = store.finished_keys(step.artifact for _, step in steps.values())
    num_found: Counter[str] = Counter()
    num_to_make: Counter[str] = Counter()
    num_epochs: Counter[str] = Counter()
    for key, (stage, step) in steps.items():
        if key in finished:
            num_found[stage] += 1
            continue
        num_to_make[stage] += 1
        if isinstance(step.work, TrainingWork | SmallTrainingWork):
            num_epochs[stage] += step.work.job.num_epochs
    passes = set()
    num_transformed_passes = 0
    for key, (_, step) in steps.items():
        if isinstance(step.work, ScoringWork) and key not in finished:
            passes.add(step.work.bundle)
            num_transformed_passes += step.work.num_draws
    return SweepOverview(
        num_trials=len(plans),
        num_found=num_found,
        num_to_make=num_to_make,
        num_epochs=num_epochs,
        num_clean_passes=len(passes),
        num_transformed_passes=num_transformed_passes,
    )


def plan_trials(trials: Sequence[Trial], store: Store) -> dict[Trial, Plan]:
    """Returns the plan of every trial; makes nothing.

    Raises:
        InputError: For a trial that could not run.
    """
    plans = {}
    for trial in trials:
        try:
            check_recipe(trial.recipe)
        except InputError as error:
            raise InputError(f"trial {trial.number} ({trial}): {error}") from None
        plans[trial] = plan_recipe(trial.recipe, store)
    return plans


def check_strategy(strategy: SearchStrategy, trials: Sequence[Trial], executor: str) -> None:
    """Raises InputError if an executor of that name cannot go through the trials in that way."""
    if isinstance(strategy, Search):
        strategy.check(trials)
    elif isinstance(strategy, Asha):
        strategy.check(trials, executor)


def locate_sweep(
    base: Recipe, plans: Mapping[Trial, Plan], strategy: SearchStrategy, store: Store
) -> Artifact:
    """Returns the place of the table of some trials.

    Other files of the source make other evaluations, so another table.
    """
    described = {
        "recipe": base,
        "trials": [trial.changes for trial in plans],
        "strategy": strategy,
    }
    inputs = {}
    for trial, plan in plans.items():
        inputs[f"trial {trial.number}"] = plan.evaluation.artifact
    return store.locate(SWEEP, VERSION, described, inputs)


def check_unfinished(
    base: Recipe, trials: Sequence[Trial], strategy: SearchStrategy, store: Store
) -> None:
    """Raises InputError if a store holds nothing of a sweep that could be resumed."""
    artifact = locate_sweep(base, plan_trials(trials, store), strategy, store)
    if store.finished_keys([artifact]):
        table = f"{store}/{artifact.stage}/{artifact.key}/{TABLE}"
        raise InputError(
            f"nothing to resume: this sweep is finished, its table is {table}; "
            "show it by leaving --resume out"
        )
    if not artifact.work.exists():
        raise InputError(
            f"nothing to resume: no sweep of these {len(trials)} trials was begun in the store "
            f"{store}; begin it by leaving --resume out"
        )


def run_sweep(
    base: Recipe,
    trials: Sequence[Trial],
    store: Store,
    *,
    executor: Executor,
    strategy: SearchStrategy = None,
) -> Artifact:
    """Runs trials, or those that a strategy chooses: `table.parquet` and `sweep.html`.

    Rows stand by number, rows of a search in the order of its choices. A finished trial is not
    run again. Trials that fail leave the others alone; the same call runs those alone.

    Args:
        base: The recipe that the trials change.
        trials: The trials.
        store: Where results are kept.
        executor: Who does the work.
        strategy: How to go through the trials.

    Raises:
        InputError: For a trial that could not run.
        RunError: At the end, if trials failed.
    """
    check_strategy(strategy, trials, executor.name)
    plans = plan_trials(trials, store)
    artifact = locate_sweep(base, plans, strategy, store)
    with store.claim([artifact]) as missing:
        if missing:
            start = time.perf_counter()
            _Sweep(base, plans, store, artifact=artifact, executor=executor).run(strategy)
            artifact.publish(time.perf_counter() - start)
    return artifact


class _Sweep:
    """A sweep under way."""

    def __init__(
        self,
        base: Recipe,
        plans: Mapping[Trial, Plan],
        store: Store,
        *,
        artifact: Artifact,
        executor: Executor,
    ):
        self.base = base
        self.plans = plans
        self.store = store
        self.artifact = artifact
        self.executor = executor
        self.rows = RowFolder(artifact.scratch / "rows")
        self.rows.path.mkdir(exist_ok=True)

    def run(self, strategy: SearchStrategy) -> None:
        """Runs the trials and writes table and page.

        Raises:
            RunError: If trials failed; the table then holds the others.
        """
        chosen = list(self.plans)
        if isinstance(strategy, Search):
            attempt = partial(self._attempt_and_measure, strategy.metric)
            chosen = strategy.choose(chosen, self.base.seed, attempt)
        elif isinstance(strategy, Asha):
            self._run_with_early_stopping(strategy)
        else:
            self._attempt(chosen)
        self._write_results(chosen)

    def _attempt(
        self, trials: Sequence[Trial], early_stopping: EarlyStopping | None = None
    ) -> None:
        """Runs the trials that have no row yet."""
        to_run = [trial for trial in trials if not self.rows.has(trial)]
        plans = [self.plans[trial] for trial in to_run]
        make_shared_steps(plans, self.store, self.executor)
        if not to_run:
            return
        keys = {trial.number: plan.evaluation.key for trial, plan in self.plans.items()}
        job = TrialsJob(
            run=partial(run_trial, self.store, self.rows, keys),
            trials=to_run,
            workers=[_largest_group(plan) for plan in plans],
            folder=self.artifact.scratch / "executor",
            early_stopping=early_stopping,
        )
        self.executor.run_trials(job)

    def _attempt_and_measure(self, metric: str, trials: list[Trial]) -> list[float | None]:
        self._attempt(trials)
        values = []
        for trial in trials:
            row = self.rows.read(trial)
            values.append(None if row is None else row[metric])
        return values

    def _run_with_early_stopping(self, asha: Asha) -> None:
        """Runs, of the trials that share the compared artifact, one before the others.

        That one trains the artifact itself, since what trials share is made before them, where
        nobody compares it. If it is stopped, so are the others.
        """
        leaders = asha.leaders(self.plans)
        first = list(dict.fromkeys(leaders.values()))
        early_stopping = EarlyStopping(
            stage=asha.stage,
            metric=asha.metric,
            mode=asha.mode,
            num_epochs=asha.num_epochs(first),
            record_stop=partial(record_stop, self.rows, asha.stage),
        )
        self._attempt(first, early_stopping)
        followers = [trial for trial, leader in leaders.items() if trial is not leader]
        for trial in followers:
            row = self.rows.read(leaders[trial])
            if row is not None and row["stopped"] and not self.rows.has(trial):
                self.rows.write(trial, {**empty_row(trial), "stopped": row["stopped"]})
        self._attempt(followers)

    def _write_results(self, chosen: Sequence[Trial]) -> None:
        # Importing Arrow and matplotlib takes a while.
        import pyarrow as pa

        from ray_defense.data.table_file import write_table
        from ray_defense.reports.sweep_page import render_sweep_page

        table = []
        failed = []
        for trial in chosen:
            row = self.rows.read(trial)
            if row is None:
                failed.append(trial)
            else:
                table.append(row)
        if table:
            columns = dict.fromkeys(name for row in table for name in row)
            rows = [{**dict.fromkeys(columns), **row} for row in table]
            write_table(self.artifact.work / TABLE, pa.Table.from_pylist(rows))
        if failed:
            raise RunError(
                f"{len(failed)} of {len(chosen)} trials failed, the first of them trial "
                f"{failed[0].number}: {self.rows.error(failed[0])}; "
                f"the others are in {self.artifact.work / TABLE}; "
                "the same command runs the failed ones again"
            )
        titles: dict[str, str] = {}
        for trial in chosen:
            titles.update(trial.recipe.model_titles())
        page = render_sweep_page(to_plain(self.base), table, titles)
        write_bytes(self.artifact.work / PAGE, page.encode())


def make_shared_steps(plans: Sequence[Plan], store: Store, executor: Executor) -> None:
    """Makes what two or more plans need, by the executor as a whole.

    These are datasets, trained models, and scores that can be made in one pass over the data. A
    step that cannot be made is left to the trials that need it, each of which then says why. What
    defenses share needs their splits, which trials make in no time.
    """
    uses: Counter[str] = Counter()
    pass_uses: Counter[object] = Counter()
    steps: dict[str, Step] = {}
    for plan in plans:
        for step in with_needs(plan.steps("evidence").values()):
            uses[step.key] += 1
            steps[step.key] = step
        if plan.backdoored is not None:
            uses[plan.backdoored.key] += 1
            steps[plan.backdoored.key] = plan.backdoored
    for step in steps.values():
        if step.work.shares_pass:
            pass_uses[step.work.bundle] += 1
    shared = []
    for step in steps.values():
        if uses[step.key] > 1 or (step.work.shares_pass and pass_uses[step.work.bundle] > 1):
            shared.append(step)
    make_steps(shared, store, executor, keep_going=True)


def _largest_group(plan: Plan) -> WorkerGroup:
    """Returns a group of workers that is enough for every training stage of a plan."""
    groups = []
    for step in plan.steps("defended").values():
        if isinstance(step.work, TrainingWork | SmallTrainingWork):
            groups.append(training_job(step).workers)
    num_workers = max(group.num_workers for group in groups)
    cpus_per_worker = max(group.cpus_per_worker for group in groups)
    return replace(groups[0], num_workers=num_workers, cpus_per_worker=cpus_per_worker)


def run_trial(
    store: Store,
    rows: RowFolder,
    evaluation_keys: Mapping[int, str],
    trial: Trial,
    executor: Executor,
) -> None:
    """Runs one trial, without a report, and keeps its row, or beside it what it failed by.

    A trial whose data cannot be assessed has a row, too: twice the same flip moves no image.

    Args:
        store: Where results are kept.
        rows: Where rows are kept.
        evaluation_keys: The planned evaluation of each trial by its number.
        trial: The trial.
        executor: Who does the work.

    Raises:
        RunError: If the trial fails, also because its files changed under the sweep.
    """
    try:
        plan = run_plan(plan_recipe(trial.recipe, store), executor, until="evaluation")
        if plan.evaluation.key != evaluation_keys[trial.number]:
            raise RunError(SOURCE_CHANGED)
        plain = summarize_run(trial.recipe.name, trial.recipe.seed, plan.artifacts())
        row = result_row(trial, Result.from_plain(plain), plan)
    except InputError as error:
        rows.write(trial, {**empty_row(trial), "refused": str(error)})
        return
    except RunError as error:
        rows.write_error(trial, error)
        raise
    rows.write(trial, row)


def record_stop(rows: RowFolder, stage: str, trial: Trial, num_epochs: int) -> None:
    """Keeps the row, without numbers, of a trial that was stopped after some epochs of a stage."""
    epochs = "epoch" if num_epochs == 1 else "epochs"
    reason = f"by ASHA after {num_epochs} {epochs} of {stage}"
    rows.write(trial, {**empty_row(trial), "stopped": reason})


def table_path(sweep: Artifact) -> Path:
    """Returns the table of a finished sweep."""
    return sweep.path / TABLE
