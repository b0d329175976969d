"""The parts of the command. Each keeps its figures as they come, so that a cut-off leaves them."""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from benchmarks.bounds.__main__ import measure_cell
from benchmarks.bounds.cells import CELLS, Sizes
from benchmarks.bounds.random_run import make_random_run, random_run_of
from benchmarks.detection.measure import measure_detection
from benchmarks.gpu.parity import parity_checks
from benchmarks.gpu.profile_epoch import profile_function
from benchmarks.gpu.setting import Deadline, GpuSetting, Keep
from ray_defense.core.progress import report_progress
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.data.training_set import open_training_set
from ray_defense.execution.local import LocalWorker
from ray_defense.execution.steps import make_steps, training_job
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.seeded import build_model
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.run import run_plan
from ray_defense.stages.backdoored import BACKDOORED
from ray_defense.store.checked_files import read_checked_json
from ray_defense.training.loop import to_device
from ray_defense.training.supervised import train_classifier, train_epoch
from ray_defense.training.views import make_view

Part = Callable[[GpuSetting, Deadline, Keep], None]
# Seconds of evaluation and report after the rounds of D-BR, as a multiple of an epoch's seconds.
_EPOCHS_OF_EVALUATION = 6
_TIMED_PART = 5  # one image of so many is trained on to learn what an epoch takes
_SHARE_OF_A_ROUND = 0.5  # of an epoch: a quarter is trained on, and as much is measured


def measure_parity(setting: GpuSetting, deadline: Deadline, keep: Keep) -> None:
    """Compares what the device computes with what the CPU computes."""
    to_check = parity_checks(setting.sizes.networks)
    checks: dict[str, Any] = {}
    for name, check in to_check.items():
        if deadline.seconds_left < 0:
            break
        try:
            parity = check(setting.device)
            checks[name] = {
                "value": parity.value,
                "bound": parity.bound,
                "larger_is_better": parity.larger_is_better,
                "holds": parity.holds,
            }
        except Exception as error:  # a check that breaks is a finding; the others go on
            checks[name] = {"error": f"{type(error).__name__}: {error}", "holds": False}
        keep(_counted_checks(checks, len(to_check)))


def _counted_checks(checks: Mapping[str, Any], num_all: int) -> dict[str, Any]:
    failed = [name for name, check in checks.items() if not check["holds"]]
    return {
        "num_checks": len(checks),
        "num_left_out": num_all - len(checks),
        "failed": failed,
        "checks": dict(checks),
    }


def measure_ingest(setting: GpuSetting, deadline: Deadline, keep: Keep) -> None:
    """Reads and poisons CIFAR-10 once, for all parts that follow."""
    plan = plan_recipe(setting.recipe, setting.store)
    suspect = plan.dataset.step
    start = time.perf_counter()
    make_steps([suspect], setting.store, setting.executor())
    seconds = time.perf_counter() - start
    num_images = SuspectDataset(suspect.artifact.path).num_samples
    keep(
        {
            "num_images": num_images,
            "seconds": round(seconds, 2),
            "images_per_s": round(num_images / seconds, 1),
        }
    )


def measure_bounds(setting: GpuSetting, deadline: Deadline, keep: Keep) -> None:
    """Times each stage and scoring over its bare loop, the longest ones on fewer images."""
    sizes = Sizes(setting.sizes.model, threads=2, epochs=1, steps=setting.sizes.bound_steps)
    plan = plan_recipe(setting.recipe, setting.store)
    all_images = random_run_of(plan.dataset.step, sizes.model, plan.context)
    few_images = make_random_run(
        setting.store.root / "few",
        setting.executor(),
        model=sizes.model,
        num_samples=setting.sizes.num_few,
        size=all_images.size,
    )
    to_time = [(name, all_images) for name in setting.sizes.bounds]
    to_time += [(name, few_images) for name in setting.sizes.bounds_of_few]
    cells: dict[str, Any] = {}
    for name, run in to_time:
        if deadline.seconds_left < 0:
            break
        start = time.perf_counter()
        cell = CELLS[name](run, sizes)
        figures = measure_cell(run, cell, setting.device, setting.sizes.num_repeats)
        seconds = round(time.perf_counter() - start, 1)
        cells[name] = {"num_samples": run.num_samples, **figures, "seconds": seconds}
        keep({"cells": dict(cells)})


def measure_profile(setting: GpuSetting, deadline: Deadline, keep: Keep) -> None:
    """Profiles an epoch of the backdoored model over some of the images."""
    plan = plan_recipe(setting.recipe, setting.store)
    config = setting.backdoored(1)
    directory = plan.dataset.step.artifact.path
    worker = LocalWorker(plan.dataset.step.artifact, 1, setting.device, "numpy")
    select = SuspectDataset(directory).index[: setting.sizes.profiled_images]
    data = open_training_set(worker, directory, config.workers.resident_bytes, select)
    model = to_device(build_model(config.model, data.num_classes, 0), setting.device)
    optimizer = config.sgd.build(model.parameters())
    view = partial(
        make_view,
        key=0,
        transforms=(config.augmentation,),
        normalization=plan.context.normalization,
    )

    def run_epoch() -> None:
        batches = data.epoch(0, config.batch_size)
        train_epoch(worker, model, optimizer, batches, view, cross_entropy)

    run_epoch()
    figures = profile_function(run_epoch, setting.device)
    keep({"num_images": len(select), "batch_size": config.batch_size, **figures})


def measure_finds(setting: GpuSetting, deadline: Deadline, keep: Keep) -> None:
    """Runs the chosen detectors and their decision over all images."""
    recipe = replace(setting.recipe, backdoored=None, defenses=())
    start = time.perf_counter()
    figures = measure_detection(recipe, setting.store, setting.executor())
    keep({**figures, "wall_s": round(time.perf_counter() - start, 1)})


def measure_removal(setting: GpuSetting, deadline: Deadline, keep: Keep) -> None:
    """Trains the backdoored model for as many epochs as fit, repairs it, and measures both."""
    epoch_s = _seconds_of_epoch(setting)
    sizes = setting.sizes
    not_training = _EPOCHS_OF_EVALUATION + _SHARE_OF_A_ROUND * sizes.rounds
    num_fitting = int(deadline.seconds_left / epoch_s - not_training)
    num_epochs = max(1, min(sizes.max_epochs, num_fitting))
    figures: dict[str, Any] = {
        "epoch_s": round(epoch_s, 3),
        "num_epochs": num_epochs,
        "rounds": sizes.rounds,
    }
    keep(figures)
    recipe = replace(setting.recipe, backdoored=setting.backdoored(num_epochs))
    start = time.perf_counter()
    plan = run_plan(plan_recipe(recipe, setting.store), setting.executor(), until="evaluation")
    measured = read_checked_json(plan.evaluation.artifact.path / "evaluation.json")
    rates = {}
    for name in (BACKDOORED, "d_br"):
        of_model = measured["models"][name]
        rates[name] = {key: of_model[key] for key in ("acc", "asr", "robust_acc", "rounds")}
        rates[name]["num_clean"] = of_model["num_clean"]
        rates[name]["num_triggered"] = of_model["num_triggered"]
    seconds = {}
    for stage, step in plan.steps().items():
        seconds[stage] = round(step.artifact.seconds, 1)
    wall_s = round(time.perf_counter() - start, 1)
    keep({**figures, "models": rates, "seconds": seconds, "wall_s": wall_s})


def _seconds_of_epoch(setting: GpuSetting) -> float:
    """Returns the seconds of a warm epoch of the backdoored model, from one over some images."""
    ends: list[float] = []
    plan = plan_recipe(setting.recipe, setting.store)
    assert plan.backdoored is not None
    inputs = replace(training_job(plan.backdoored).inputs, config=setting.backdoored(2))
    index = SuspectDataset(plan.dataset.step.artifact.path).index
    artifact = setting.store.locate("timed", 1, {}, {})
    with setting.store.claim([artifact]):
        worker = LocalWorker(
            artifact,
            2,
            setting.device,
            "numpy",
            lambda stage, number, metrics: ends.append(time.perf_counter()),
        )
        train_classifier(worker, artifact, inputs, index[::_TIMED_PART])
    return _TIMED_PART * (ends[1] - ends[0])


PARTS: Mapping[str, tuple[Part, float]] = {  # with the share of the budget that is each one's
    "parity": (measure_parity, 0.15),
    "ingest": (measure_ingest, 0.06),
    "bounds": (measure_bounds, 0.30),
    "profile": (measure_profile, 0.06),
    "detection": (measure_finds, 0.20),
    "removal": (measure_removal, 0.23),  # and what the parts before it left
}


def run_part(name: str, setting: GpuSetting, deadline: Deadline, keep: Keep) -> None:
    """Runs a part; one that breaks leaves its error beside what it measured before."""
    kept: dict[str, Any] = {}

    def keep_with_seconds(figures: Mapping[str, Any]) -> None:
        kept.clear()
        kept.update(figures)
        keep({"part_s": round(time.perf_counter() - start, 1), **figures})

    part, _ = PARTS[name]
    report_progress(name, 0, 1)
    start = time.perf_counter()
    try:
        part(setting, deadline, keep_with_seconds)
    except Exception as error:  # the time on the machine is short: the other parts go on
        text = "".join(traceback.format_exception(error)[-6:])
        keep_with_seconds({**kept, "error": text})
    if setting.device.type == "cuda":
        torch.cuda.empty_cache()
    report_progress(name, 1, 1)
