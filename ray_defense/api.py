"""The library's front door: each call does one job on a recipe and returns its numbers."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ray_defense.attacks.protocol import Attack
from ray_defense.core.config import override_all
from ray_defense.core.errors import InputError, unknown_name
from ray_defense.core.files import json_bytes
from ray_defense.execution.on_demand import ExecutorOnDemand
from ray_defense.execution.placement import ANYWHERE, Placement
from ray_defense.execution.protocols import Backend, Executor
from ray_defense.execution.steps import make_steps
from ray_defense.exports.export_audit import ExportPart, ExportSummary, export_audit
from ray_defense.pipeline.plan import Plan, Until, plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.pipeline.run import (
    defended_result_of,
    detection_of,
    plan_feature_map,
    result_of,
    run_plan,
)
from ray_defense.pipeline.validate import check_recipe
from ray_defense.reports.detection import Detection
from ray_defense.reports.result import DefendedResult, Result
from ray_defense.store.artifacts import Store

if TYPE_CHECKING:
    from ray.data import Dataset

    from ray_defense.data.sources.protocol import Source
    from ray_defense.models.protocol import Model
    from ray_defense.pipeline.user_model import UserModel
    from ray_defense.reports.audit import Audit
    from ray_defense.stages.trained_model import ClassifierOfImages
    from ray_defense.studies.attack_strength import AttackStrength
    from ray_defense.studies.planned_hours import PlannedHours
    from ray_defense.studies.reproduction import Scale
    from ray_defense.studies.throughput import Throughput
    from ray_defense.sweeps.grid import Trial
    from ray_defense.sweeps.sweep import SearchStrategy, SweepOverview

EXECUTORS = ("local", "ray")
RESULT_FILE = "result.json"
BENCHMARK_FILE = "benchmark.json"


@dataclass(frozen=True)
class Where:
    """Where a call keeps its results and who does its work; no result depends on it.

    Attributes:
        store: A directory, or a URI that pyarrow takes (s3://bucket/prefix).
        executor: "local" (this process), "ray", or an executor, which is then left open.
        backend: Who reads the shards: "ffcv", "numpy", or "auto" (NumPy).
        placement: How Ray spreads the work over a cluster.
    """

    store: str | Path
    executor: Literal["local", "ray"] | Executor = "local"
    backend: Backend = "auto"
    placement: Placement = ANYWHERE


def make_executor(
    name: str, backend: Backend = "auto", placement: Placement = ANYWHERE
) -> Executor:
    """Returns a started executor.

    Args:
        name: "local" or "ray"; Ray is imported only for the second.
        backend: Who reads the shards.
        placement: How Ray spreads the work.

    Raises:
        InputError: For another name.
    """
    if name == "local":
        from ray_defense.execution.local import LocalExecutor

        return LocalExecutor(backend)
    if name == "ray":
        from ray_defense.cluster.session import start_executor

        return start_executor(backend, placement)
    raise unknown_name("executor", name, EXECUTORS)


def run(
    recipe: str | Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    overrides: Mapping[str, Any] | None = None,
) -> Result:
    """Runs a recipe to its report, doing only what the store does not hold yet.

    The numbers are also written to `result.json` in the store.

    Args:
        recipe: The name of a recipe, or a configuration.
        store: See `Where`.
        executor: See `Where`.
        backend: See `Where`.
        placement: See `Where`.
        overrides: Values by dotted path that replace values of the recipe, `{"probe.epochs": 4}`.

    Raises:
        InputError: For a request or input that cannot be worked on.
        RunError: For work that could not be finished.
    """
    config = configured_recipe(recipe, overrides)
    where = Where(store, executor, backend, placement=placement)
    with _finished_plan(config, where, until="report") as (opened_store, plan):
        result = result_of(plan)
        opened_store.write_file(RESULT_FILE, json_bytes(result))
    return result


def detect(
    recipe: str | Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    overrides: Mapping[str, Any] | None = None,
) -> Detection:
    """Scores every sample, decides which are flagged, and returns the verdict.

    Nothing but what the detectors need is trained, and no truth and no test image is looked at.
    `run` describes the arguments and errors.
    """
    config = configured_recipe(recipe, overrides)
    where = Where(store, executor, backend, placement=placement)
    with _finished_plan(config, where, until="split") as (_, plan):
        return detection_of(plan)


def audit(
    data: Any,
    *,
    out: str | Path,
    trusted: Any = None,
    size: int | Literal["auto"] = "auto",
    quick: bool = False,
    power: Sequence[int] = (),
    seed: int = 0,
    model: "str | Model | None" = None,
    weights: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    overrides: Mapping[str, Any] | None = None,
    command: str = "",
) -> "Audit":
    """Says whether a training set holds a backdoor, and writes tables and a report about it.

    The data are read and never changed. All work is kept in `<out>/store`, so the same call goes on
    where it was killed.

    Args:
        data: The path of the images in any form that `recognize` knows; a source; or what a program
            holds, in any form that `sources.memory.source_of` knows: arrays, a dataset of torch or
            of Hugging Face.
        out: The folder of the audit; it is made, and may hold an earlier audit.
        trusted: Images of the same classes that you vouch for, in any form that `data` has: never
            flagged, always trusted, and a reference for the others. None for none.
        size: The side that images are resized to, in pixels; "auto" chooses it from the data.
        quick: Whether only the fastest detectors are used.
        power: How many canaries are planted, such as (50,): measures what "no evidence" is worth,
            and costs as much time as six more audits for each number.
        seed: Of all draws.
        model: The network of the probe, by name ("resnet18", "torchvision:resnet50") or as a
            configuration; None chooses it from the size of the images.
        weights: A file of pretrained weights, safetensors or a state dict of torch, that the probe
            starts from where names and shapes fit; None for random ones.
        settings: Of the source that reads a path, by name, such as {"label_column": "species"}.
        executor: See `Where`.
        backend: See `Where`.
        placement: See `Where`.
        overrides: Values by dotted path that replace values of the chosen configuration.
        command: What the manifest says how to do the same again; empty for this call.

    Raises:
        InputError: For data or a folder that cannot be worked with.
        RunError: For work that could not be finished.
    """
    from ray_defense.data.image_sides import measured_side
    from ray_defense.data.sources.protocol import AttackedSource
    from ray_defense.data.sources.with_trusted import WithTrusted
    from ray_defense.models.named_network import named_network
    from ray_defense.pipeline.audit import (
        MEMORY_FOLDER,
        STORE_FOLDER,
        TRUSTED_FOLDER,
        AuditRequest,
        check_free,
        compare_with_truth,
        write_audit,
    )
    from ray_defense.pipeline.audit_recipe import AuditSettings, plan_audit

    folder = Path(os.path.abspath(os.path.expanduser(out)))
    check_free(folder, _shown_data(data))
    source, recognized = _recognized(data, folder / MEMORY_FOLDER, settings or {})
    if trusted is not None:
        vouched, _ = _recognized(trusted, folder / TRUSTED_FOLDER, {})
        source = WithTrusted(source, vouched, size=source.info().size)
        recognized["trusted"] = source.describe().recognized[0]
    chosen = AuditSettings(
        quick=quick,
        size=None if size == "auto" else size,
        power=tuple(power),
        seed=seed,
        network=named_network(model) if isinstance(model, str) else model,
        weights=weights,
    )
    num_samples = len(source.labels("train"))
    side = measured_side(source, num_samples)
    planned = plan_audit(source, num_samples, side, settings=chosen)
    config = configured_recipe(planned.recipe, overrides)
    where = Where(folder / STORE_FOLDER, executor, backend, placement=placement)
    with _opened(None, where) as (store, opened_executor):
        plan = plan_recipe(config, store)
        cached = [artifact.exists for artifact in plan.artifacts("split").values()]
        if not all(cached):
            check_recipe(config)
        knows_truth = isinstance(source, AttackedSource)
        plan = run_plan(plan, opened_executor, "evaluation" if knows_truth else "split")
        compared = compare_with_truth(plan) if knows_truth else {}
        feature_map = plan_feature_map(plan)
        if feature_map is not None:
            make_steps([feature_map], store, opened_executor)
        request = AuditRequest(
            data=_shown_data(data),
            command=command or f"ray_defense.audit({_shown_data(data)!r}, out={str(out)!r})",
            choices={**recognized, **planned.choices, **compared},
            side=side,
            num_cached=sum(cached),
        )
        return write_audit(plan, folder, request)


def _recognized(
    data: Any, folder: Path, settings: Mapping[str, Any]
) -> "tuple[Source, dict[str, str]]":
    """Returns the source of some data, and what was recognized.

    Args:
        data: As `audit` takes them.
        folder: Where data in memory are written.
        settings: Of the source that reads a path.
    """
    if isinstance(data, str | Path):
        from ray_defense.data.sources.recognize import recognize

        recognized = recognize(str(data), settings)
        return recognized.source, {"data": " ".join(recognized.sentences)}
    if isinstance(getattr(type(data), "name", None), str) and hasattr(data, "signature"):
        return data, {}
    from ray_defense.data.sources.memory import source_of

    source: Source = source_of(data, folder)
    return source, {"data": f"{type(data).__name__} in memory, written to {str(folder)!r}"}


def _shown_data(data: Any) -> str:
    """Returns how the records of an audit call its data."""
    from ray_defense.data.fetched_data import is_uri, shown_uri

    if isinstance(data, str) and is_uri(data):
        return shown_uri(data)
    if isinstance(data, str | Path):
        return os.path.abspath(os.path.expanduser(data))
    return str(getattr(data, "path", None) or type(data).__name__)


def defend(
    recipe: str | Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    overrides: Mapping[str, Any] | None = None,
) -> DefendedResult:
    """Makes the split and the defended models of a recipe; looks at no truth and no test image.

    `run` describes the arguments and errors.
    """
    config = configured_recipe(recipe, overrides)
    where = Where(store, executor, backend, placement=placement)
    with _finished_plan(config, where, until="defended") as (_, plan):
        return defended_result_of(plan)


def defend_audit(
    audit: str | Path,
    method: str,
    *,
    model: "UserModel | None" = None,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    overrides: Mapping[str, Any] | None = None,
) -> DefendedResult:
    """Trains a model without the backdoor from the split of an audit, in the store of the audit.

    Args:
        audit: The folder of the audit.
        method: "d_st" trains from scratch; "d_br" repairs a model that is trained on everything.
            A hyphen does as well.
        model: A model of the user that "d_br" repairs in place of one that is trained.
        executor: See `Where`.
        backend: See `Where`.
        placement: See `Where`.
        overrides: Values by dotted path that replace values of the configuration, such as
            {"d_st.epochs": 100}.

    Raises:
        InputError: If there is no audit, or it is not what was written, or the method is unknown,
            or the model is of another network or other classes.
        RunError: For work that could not be finished.
    """
    from ray_defense.core.config import from_plain
    from ray_defense.exports.audit_folder import AuditFolder, check_trusted_classes
    from ray_defense.pipeline.audit_recipe import with_defense

    folder = AuditFolder.open(audit)
    if not folder.store.resolve().is_relative_to(folder.root.resolve()):
        raise InputError(
            f"the store of the audit {str(folder.root)!r} lies outside of it: audit the data again"
        )
    check_trusted_classes(folder)
    audited = from_plain(Recipe, folder.manifest["configuration"])
    defended = with_defense(audited, method)
    if model is not None:
        from ray_defense.pipeline.user_model import with_user_model

        defended = with_user_model(defended, model, folder.class_names)
    config = configured_recipe(defended, overrides)
    where = Where(folder.store, executor, backend, placement=placement)
    with _finished_plan(config, where, until="defended") as (_, plan):
        return defended_result_of(plan)


def report(
    recipe: str | Recipe,
    *,
    store: str | Path,
    overrides: Mapping[str, Any] | None = None,
) -> Result:
    """Writes the report and `result.json` of a run that a store holds; computes nothing else.

    Raises:
        InputError: Naming the first stage that is not there.
    """
    config = configured_recipe(recipe, overrides)
    opened_store = Store(store)
    artifacts = plan_recipe(config, opened_store).artifacts()
    finished = opened_store.finished_keys(artifacts.values())
    for stage, artifact in artifacts.items():
        if artifact.key not in finished:
            raise InputError(
                f"the store {opened_store} does not hold the {stage} of this {config.name}: make "
                f"what is missing with ray-defense run {config.name} and the same options"
            )
    return run(config, store=store)


def export(
    audit: str | Path,
    part: ExportPart,
    form: str,
    out: str | Path,
    *,
    data: str | Path | None = None,
) -> ExportSummary:
    """Writes the samples of one part of an audit into a new folder; changes nothing else.

    Args:
        audit: The folder that an audit wrote.
        part: "kept" (all that is not flagged), "flagged", "uncertain" or "trusted".
        form: "folder", "parquet", "csv", "beton", "label-studio", "fiftyone" or "huggingface".
        out: The folder to write, which must not be there, or be empty.
        data: Where the audited data lies now; None for where it lay.

    Returns:
        What was written, with what a user should know of it.

    Raises:
        InputError: If there is nothing to export, the folder is in use or lies in the data or the
            audit, or the data is not what was audited any more.
        RunError: If the folder cannot be written.
    """
    return export_audit(audit, part, form, out, data=data)


def benchmark(
    recipe: str | Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    repeats: int = 3,
) -> "Throughput":
    """Returns how fast ingest, probe and scoring of a recipe run.

    The numbers are also written to `benchmark.json` in the store, below which everything is made
    and removed again.

    Args:
        recipe: As for `run`.
        store: See `Where`.
        executor: See `Where`.
        backend: See `Where`.
        placement: See `Where`.
        repeats: How often each is measured, from the start.
    """
    from ray_defense.studies.throughput import measure_throughput

    config = configured_recipe(recipe)
    where = Where(store, executor, backend, placement=placement)
    with _opened(config, where) as (opened_store, opened_executor):
        throughput = measure_throughput(config, opened_store, opened_executor, repeats)
        opened_store.write_file(BENCHMARK_FILE, json_bytes(throughput))
    return throughput


def preview_attack(
    recipe: str | Recipe,
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
) -> bytes:
    """Returns a contact sheet of the attack of a recipe, a PNG.

    An executor is started only for an attack that needs a network. Arguments and errors are those
    of `run`.
    """
    from ray_defense.studies import attack_preview

    config = configured_recipe(recipe)
    where = Where(store, executor, backend, placement=placement)
    with _opened(None, where) as (opened_store, opened_executor):
        return attack_preview.preview_attack(config, opened_store, opened_executor)


def check_attacks(
    recipe: str | Recipe,
    attacks: Sequence[Attack],
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "local",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
) -> "tuple[AttackStrength, ...]":
    """Returns, for each attack, ACC and ASR of a model trained on what the attack poisoned.

    An attack that is refused says why in its row. `run` describes the other arguments and the
    errors.

    Args:
        recipe: What everything but the attack is taken from.
        attacks: The attacks.
        store: See `Where`.
        executor: See `Where`.
        backend: See `Where`.
        placement: See `Where`.
    """
    from ray_defense.studies.attack_strength import measure_attacks, without_attack

    config = without_attack(configured_recipe(recipe))
    where = Where(store, executor, backend, placement=placement)
    with _opened(config, where) as (opened_store, opened_executor):
        return measure_attacks(config, attacks, opened_store, opened_executor)


def plan_sweep(
    trials: "Sequence[Trial]",
    *,
    store: str | Path,
    executor: str = "ray",
    strategy: "SearchStrategy" = None,
) -> "SweepOverview":
    """Returns what a sweep of all trials would make and what a store holds; makes nothing.

    Raises:
        InputError: For a trial that could not run, or trials that an executor of that name cannot
            go through by that strategy.
    """
    from ray_defense.sweeps.sweep import check_strategy, plan_trials, summarize_plans

    check_strategy(strategy, trials, executor)
    opened_store = Store(store)
    plans = plan_trials(trials, opened_store)
    return summarize_plans(list(plans.values()), opened_store)


def sweep(
    base: Recipe,
    trials: "Sequence[Trial]",
    *,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "ray",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    strategy: "SearchStrategy" = None,
) -> Path:
    """Runs trials and returns the folder of `table.parquet` and `sweep.html`.

    A trial that fails leaves the others alone; RunError is raised at the end, and the same call
    runs the failed trials. `run` describes the other arguments and the errors.

    Args:
        base: The recipe that the trials change.
        trials: See `sweeps.grid.grid_trials`.
        store: See `Where`.
        executor: See `Where`.
        backend: See `Where`.
        placement: See `Where`.
        strategy: A `sweeps.search.Search`, a `sweeps.asha.Asha`, or None to run all trials.
    """
    from ray_defense.sweeps.sweep import run_sweep

    where = Where(store, executor, backend, placement=placement)
    with _opened(None, where) as (opened_store, opened_executor):
        artifact = run_sweep(
            base, trials, opened_store, executor=opened_executor, strategy=strategy
        )
    return artifact.path


def check_sweep_unfinished(
    base: Recipe,
    trials: "Sequence[Trial]",
    *,
    store: str | Path,
    strategy: "SearchStrategy" = None,
) -> None:
    """Raises InputError if a store holds nothing of this sweep that could be resumed."""
    from ray_defense.sweeps.sweep import check_unfinished

    check_unfinished(base, trials, strategy, Store(store))


def read_shards(directory: str | Path) -> "Dataset":
    """Returns a suspect dataset as a `ray.data.Dataset`: index, image and label.

    Args:
        directory: `result.artifacts["ingest"]` of a run.

    Raises:
        InputError: If the directory is no finished dataset.
    """
    from ray_defense.cluster.session import connect, prepare_environment

    prepare_environment()
    from ray_defense.cluster import datasets

    connect()  # Ray would start by itself, in the current directory

    return datasets.read_shards(directory)


def load_model(path: str | Path) -> "ClassifierOfImages":
    """Returns a model that a run trained: float images [B, 3, H, W] in [0, 1] in, logits out.

    Args:
        path: The folder of the model, such as `result.artifacts["d_br"]`, or its weights file.

    Raises:
        InputError: If there is no model of a finished run.
    """
    from ray_defense.stages.trained_model import load_trained_model

    return load_trained_model(Path(os.path.abspath(os.path.expanduser(path))))


def recipe(name: str) -> Recipe:
    """Returns the recipe of a name, to look at and to change with `override`.

    Raises:
        InputError: For an unknown name; the message suggests the nearest one.
    """
    return named_recipe(name)


def configured_recipe(recipe: str | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Returns a recipe by its name, or as it is, with some values replaced.

    Raises:
        InputError: For an unknown name or path, or a value that does not fit.
    """
    config = named_recipe(recipe) if isinstance(recipe, str) else recipe
    return override_all(config, (overrides or {}).items())


@contextlib.contextmanager
def _finished_plan(recipe: Recipe, where: Where, *, until: Until) -> Iterator[tuple[Store, Plan]]:
    """Gives the body the opened store and the plan of a recipe, run up to some point.

    The recipe is checked first, unless the store holds all that is asked for: checking reads the
    labels of the source, for which a finished run should not wait.
    """
    with _opened(None, where) as (store, executor):
        plan = plan_recipe(recipe, store)
        if not all(artifact.exists for artifact in plan.artifacts(until).values()):
            check_recipe(recipe)
        yield store, run_plan(plan, executor, until)


@contextlib.contextmanager
def _opened(recipe: Recipe | None, where: Where) -> Iterator[tuple[Store, Executor]]:
    """Gives the body a store and an executor that starts when work reaches it.

    Args:
        recipe: Checked first, before Ray is started.
        where: The store and the executor.
    """
    store = Store(where.store)
    if recipe is not None:
        check_recipe(recipe)
    store.check_writable()
    if not isinstance(where.executor, str):
        yield store, where.executor
        return
    if where.executor not in EXECUTORS:
        raise unknown_name("executor", where.executor, EXECUTORS)
    start = partial(make_executor, where.executor, where.backend, where.placement)
    executor = ExecutorOnDemand(where.executor, start)
    try:
        yield store, executor
    finally:
        executor.close()


def plan_reproduction(
    name: str,
    *,
    scale: "Scale" = "small",
    seeds: int = 3,
    attacks: Sequence[str] = (),
    overrides: Mapping[str, str] | None = None,
    store: str | Path,
) -> "tuple[SweepOverview, PlannedHours]":
    """Returns what a table or figure of the paper still needs and about how long it takes.

    `reproduce` describes the arguments and the errors; this makes nothing.
    """
    from ray_defense.data.sources.imagenet200 import ImageNet200
    from ray_defense.studies.planned_hours import plan_hours
    from ray_defense.studies.reproduction import plan_reproduction as plan_panels
    from ray_defense.sweeps.sweep import plan_trials, summarize_plans

    opened_store = Store(store)
    plans: list[Plan] = []
    larger_images = False
    for panel in plan_panels(name, scale, seeds, attacks=attacks, overrides=overrides):
        larger_images = larger_images or isinstance(panel.recipe.source, ImageNet200)
        plans.extend(plan_trials(panel.trials, opened_store).values())
    overview = summarize_plans(plans, opened_store)
    return overview, plan_hours(overview, scale, larger_images=larger_images)


def reproduce(
    name: str,
    *,
    out: str | Path,
    scale: "Scale" = "small",
    seeds: int = 3,
    attacks: Sequence[str] = (),
    overrides: Mapping[str, str] | None = None,
    store: str | Path,
    executor: Literal["local", "ray"] | Executor = "ray",
    backend: Backend = "auto",
    placement: Placement = ANYWHERE,
    command: str | None = None,
) -> Path:
    """Runs a table or figure of the paper and returns the folder with our numbers beside its own.

    The folder gets `table.md`, `table.html` and `runs/`, one JSON file a run. What the store holds
    is not done again, so the same call goes on where another one stopped.

    Args:
        name: "table1", "fig5", ...: one of `studies.reproduction.REPRODUCTIONS`.
        out: The folder; it is made.
        scale: "small" for two CPU cores, "paper" for the paper's networks and epochs.
        seeds: How many seeds, from 0; the seed of the run and of the attacker.
        attacks: Some of the table's rows; all where none is named.
        overrides: Dotted paths and their values, changed in every recipe of the table.
        store: See `Where`.
        executor: See `Where`.
        backend: See `Where`.
        placement: See `Where`.
        command: The command line that made this call, for the table.

    Raises:
        InputError: For a name, a scale or an attack that there is not.
        RunError: At the end, if runs failed; the table has the others.
    """
    from ray_defense.core.errors import look_up
    from ray_defense.studies.reproduce import run_reproduction
    from ray_defense.studies.reproduction import REPRODUCTIONS
    from ray_defense.studies.reproduction import plan_reproduction as plan_panels

    panels = plan_panels(name, scale, seeds, attacks=attacks, overrides=overrides)
    where = Where(store, executor, backend, placement=placement)
    with _opened(None, where) as (opened_store, opened_executor):
        run_reproduction(
            look_up(REPRODUCTIONS, "table or figure", name),
            panels,
            opened_store,
            executor=opened_executor,
            name=name,
            scale=scale,
            out=Path(out),
            command=command or f"ray_defense.reproduce({name!r}, scale={scale!r}, seeds={seeds})",
        )
    return Path(out)
