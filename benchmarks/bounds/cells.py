"""The cells of the study: a stage as the product runs it, and the passes that it cannot do without.

A cell that shares its stage with another phase is timed between the ends of two epochs.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.bounds.bare import BareLoop, BarePass, BareSetting, synchronize
from benchmarks.bounds.random_run import NUM_CLASSES, RandomRun
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.grow import Grow, GrowTraining
from ray_defense.detectors.mirror import Mirror
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.detectors.required_models import SmallNetworks
from ray_defense.detectors.symmetry import SymmetryTraining
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Metrics
from ray_defense.execution.steps import Step, make_steps
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.protocol import Model
from ray_defense.stages.backdoored import backdoored_step
from ray_defense.stages.defend import BackdooredModel, defend_step
from ray_defense.stages.detect import DetectConfig, detect_step
from ray_defense.stages.detector_models import RecipeModels, plan_models
from ray_defense.stages.probe import probe_step
from ray_defense.training.settings import Sgd, SupervisedConfig


@dataclass(frozen=True)
class Sizes:
    """How much each stage does."""

    model: Model
    threads: int  # of the CPU
    epochs: int  # of every phase that is measured in epochs
    steps: int  # of every network that is trained in steps


@dataclass(frozen=True)
class Cell:
    """A stage, the passes of its bare loop, and which of its epochs are timed."""

    step: Step
    passes: tuple[BarePass, ...]
    model: Model
    sgd: Sgd
    num_images: int  # that the stage works through; views count, and so does each pass
    threads: int
    first_epoch: int = 0  # timed from the end of this epoch on; 0: from the start of the stage
    last_epoch: int | None = None  # timed to the end of this one; None: to the end of the stage


CellMaker = Callable[[RandomRun, Sizes], Cell]


def _workers(sizes: Sizes) -> WorkerGroup:
    return WorkerGroup(cpus_per_worker=sizes.threads)


def _probe_config(sizes: Sizes) -> ProbeConfig:
    return ProbeConfig(sizes.model, epochs=sizes.epochs, intra_epochs=0, workers=_workers(sizes))


def probe_cross_entropy(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of the probe's first phase, which ends with its accuracy on all samples."""
    config = _probe_config(sizes)
    train = BarePass(run.num_samples, config.batch_size)
    measure = replace(train, learns="nothing")
    return Cell(
        step=probe_step(config, run.suspect, run.context),
        passes=(*[train] * config.epochs, measure),
        model=config.model,
        sgd=config.sgd,
        num_images=config.epochs * run.num_samples,
        threads=sizes.threads,
    )


def probe_intra(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of the probe's second phase, L_intra."""
    config = replace(_probe_config(sizes), epochs=1, intra_epochs=sizes.epochs)
    train = BarePass(run.num_samples, config.batch_size, learns="features")
    return Cell(
        step=probe_step(config, run.suspect, run.context),
        passes=(train,) * config.intra_epochs,
        model=config.model,
        sgd=config.sgd,
        num_images=config.intra_epochs * run.num_samples,
        threads=sizes.threads,
        first_epoch=1,
    )


def _classifier_config(sizes: Sizes) -> SupervisedConfig:
    return SupervisedConfig(sizes.model, epochs=sizes.epochs, workers=_workers(sizes))


def backdoored(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of the backdoored model: cross-entropy on crops that may be mirrored."""
    config = _classifier_config(sizes)
    train = BarePass(run.num_samples, config.batch_size)
    return Cell(
        step=backdoored_step(config, run.suspect, run.context),
        passes=(train,) * config.epochs,
        model=config.model,
        sgd=config.sgd,
        num_images=config.epochs * run.num_samples,
        threads=sizes.threads,
    )


def d_br(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of rounds of D-BR: unlearn, relearn, and what is known of both parts."""
    config = BackdoorRemoval(rounds=sizes.epochs, workers=_workers(sizes))
    repaired = BackdooredModel(run.backdoored, _classifier_config(sizes))
    passes = []
    for learns in ("all", "nothing"):
        for num_images in (run.num_flagged, run.num_trusted):
            passes.append(BarePass(num_images, config.batch_size, learns=learns))
    return Cell(
        step=defend_step(config, run.suspect, run.split, backdoored=repaired, context=run.context),
        passes=tuple(passes) * config.rounds,
        model=sizes.model,
        sgd=config.sgd,
        num_images=config.rounds * (run.num_flagged + run.num_trusted),
        threads=sizes.threads,
    )


def _secure_training(sizes: Sizes, epochs: int, classifier_epochs: int) -> SecureTraining:
    return SecureTraining(
        sizes.model,
        epochs=epochs,
        classifier_epochs=classifier_epochs,
        warmup_epochs=0,
        sgd=Sgd(0.05, weight_decay=1e-4),
        classifier_sgd=Sgd(0.1, weight_decay=0.0),
        workers=_workers(sizes),
    )


def ss_ctl(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of the first phase of D-ST, two views of every image."""
    config = _secure_training(sizes, sizes.epochs, 1)
    batch_size = min(config.batch_size, run.num_samples)
    num_steps = run.num_samples // batch_size  # a smaller last batch is left out
    num_views = 2 * batch_size * num_steps
    train = BarePass(num_views, 2 * batch_size, learns="projection")
    return Cell(
        step=defend_step(config, run.suspect, run.split, backdoored=None, context=run.context),
        passes=(train,) * config.epochs,
        model=config.model,
        sgd=config.sgd,
        num_images=config.epochs * num_views,
        threads=sizes.threads,
        last_epoch=config.epochs,
    )


def mce(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of the second phase of D-ST, a classifier on the frozen extractor."""
    config = _secure_training(sizes, 1, sizes.epochs)
    num_images = run.num_trusted + run.num_flagged
    train = BarePass(num_images, config.classifier_batch_size, learns="classifier")
    return Cell(
        step=defend_step(config, run.suspect, run.split, backdoored=None, context=run.context),
        passes=(train,) * config.classifier_epochs,
        model=config.model,
        sgd=config.classifier_sgd,
        num_images=config.classifier_epochs * num_images,
        threads=sizes.threads,
        first_epoch=1,
    )


def mirror(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of a network of the mirror filter, which has a network of its own."""
    training = SymmetryTraining(
        steps=sizes.steps, workers=WorkerGroup(cpus_per_worker=sizes.threads)
    )
    (networks,) = Mirror(training).models
    return _of_fold(run, sizes, networks, training, 2 * training.batch_size)


def grow(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of a network of the growing detector, which has a network of its own."""
    training = GrowTraining(steps=sizes.steps, workers=WorkerGroup(cpus_per_worker=sizes.threads))
    detector = Grow(num_highest=run.num_flagged, num_bands=0, training=training)
    networks = detector.models[0]
    assert isinstance(networks, SmallNetworks)
    return _of_fold(run, sizes, networks, training, 4 * training.seeds_a_step)


def _of_fold(
    run: RandomRun,
    sizes: Sizes,
    networks: SmallNetworks,
    training: SymmetryTraining | GrowTraining,
    batch_size: int,
) -> Cell:
    """Returns the cell of the network of the first fold."""
    shared = RecipeModels(_probe_config(sizes), None)
    planned = plan_models(
        [networks], run.suspect, shared, context=run.context, evidence=run.evidence
    )
    step = next(iter(planned[networks].steps.values()))
    num_images = training.steps * batch_size
    return Cell(
        step=step,
        passes=(BarePass(num_images, batch_size),),
        model=training.model,
        sgd=training.sgd,
        num_images=num_images,
        threads=sizes.threads,
    )


def _scoring(run: RandomRun, sizes: Sizes, draws: int) -> Cell:
    """Returns the cell of scoring by FCT over some draws: one forward pass more than draws."""
    config = DetectConfig((Fct(draws=draws),), cpus_per_actor=sizes.threads)
    read = BarePass(run.num_samples, config.batch_size, learns="nothing", half_precision=False)
    return Cell(
        step=detect_step(config, run.suspect, run.probe, model=sizes.model, context=run.context),
        passes=(read,) * (1 + draws),
        model=sizes.model,
        sgd=Sgd(0.0),
        num_images=run.num_samples,
        threads=sizes.threads,
    )


def score_1(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of scoring by one draw, as in the paper."""
    return _scoring(run, sizes, 1)


def score_32(run: RandomRun, sizes: Sizes) -> Cell:
    """Returns the cell of scoring by 32 draws."""
    return _scoring(run, sizes, 32)


CELLS: Mapping[str, CellMaker] = {
    "probe_ce": probe_cross_entropy,
    "probe_intra": probe_intra,
    "backdoored": backdoored,
    "d_br": d_br,
    "ss_ctl": ss_ctl,
    "mce": mce,
    "mirror": mirror,
    "grow": grow,
    "score_1": score_1,
    "score_32": score_32,
}


class TimedStage:
    """Makes the step of a cell anew, as often as asked, in this process."""

    def __init__(self, run: RandomRun, cell: Cell, device: torch.device):
        self._store = run.context.store
        self._cell = cell
        self._device = device
        self._executor = LocalExecutor("numpy", device, self._note_epoch)
        self._ends: list[float] = []

    def seconds(self) -> float:
        """Makes the step and returns the seconds of its timed part."""
        artifact = self._cell.step.artifact
        for folder in (artifact.path, artifact.work):
            shutil.rmtree(folder, ignore_errors=True)
        synchronize(self._device)
        self._ends = [time.perf_counter()]  # the start, then the end of each epoch
        make_steps([self._cell.step], self._store, self._executor)
        synchronize(self._device)
        end = time.perf_counter()
        if self._cell.last_epoch is not None:
            end = self._ends[self._cell.last_epoch]
        return end - self._ends[self._cell.first_epoch]

    def _note_epoch(self, stage: str, number: int, metrics: Metrics) -> None:
        self._ends.append(time.perf_counter())


def bare_loop(run: RandomRun, cell: Cell, device: torch.device) -> BareLoop:
    """Returns the bare loop of a cell."""
    setting = BareSetting(cell.model, NUM_CLASSES, run.size, cell.sgd, device)
    return BareLoop(setting, cell.passes)


def bare_half_precision(run: RandomRun, cell: Cell, device: torch.device) -> BareLoop | None:
    """Returns the same loop in bfloat16, where a GPU's stage works in float32; else None."""
    passes = [replace(of_pass, half_precision=True) for of_pass in cell.passes]
    if device.type != "cuda" or tuple(passes) == cell.passes:
        return None
    return bare_loop(run, replace(cell, passes=tuple(passes)), device)


def describe_cell(cell: Cell) -> dict[str, Any]:
    """Returns what a result says of a cell."""
    return {
        "stage": cell.step.artifact.stage,
        "model": cell.model.name,
        "batch_size": cell.passes[0].batch_size,
    }
