"""suspect dataset --probe--> a model trained for a few epochs only to score samples (Algorithm 2, steps 1-5)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ray_defense.core.checks import at_least, in_range
from ray_defense.core.config import choice
from ray_defense.core.errors import Refused
from ray_defense.core.files import read_json, write_json
from ray_defense.core.random import stream
from ray_defense.data.training_set import Share, open_training_set
from ray_defense.execution.protocols import TrainJob, Worker
from ray_defense.losses import class_center_similarity, relearning
from ray_defense.models import MODELS, ResNet18, build_model, save_weights
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import Mean, Metrics, autocast, run_epochs, sgd_step, to_device
from ray_defense.training.settings import Sgd, Workers
from ray_defense.training.supervised import measure_accuracy, train_epoch
from ray_defense.training.views import view

VERSION = 1


@dataclass(frozen=True)
class Probe:
    """The probe and its training; no augmentation, and the centers of Eq. (8) are those of the batch of all workers (D4)."""

    model: Any = choice(MODELS, default=ResNet18())
    epochs: int = 2  # e_t, cross-entropy
    intra_epochs: int = 10  # e_f, L_intra
    batch_size: int = 128  # over all workers
    sgd: Sgd = Sgd(0.01)
    min_train_accuracy: float = 0.4  # on the labels after cross-entropy; below it a note says that scores may mean little
    keep_epochs: bool = False  # also the model after cross-entropy and after each epoch of L_intra, for `stages.trace`
    workers: Workers = Workers()

    def __post_init__(self) -> None:
        at_least("probe.epochs", self.epochs, 1)
        at_least("probe.intra_epochs", self.intra_epochs, 0)
        at_least("probe.batch_size", self.batch_size, 2)
        in_range("probe.min_train_accuracy", self.min_train_accuracy, 0, 1)


def job(config: Probe, suspect: Artifact, context: Context) -> TrainJob:
    """Returns the training job of the probe."""
    artifact = context.place("probe", VERSION, config, {"suspect": suspect}, **context.settings)
    inputs = {"suspect": suspect}
    return TrainJob(train, config, context.seed, artifact, inputs, context.settings, config.epochs + config.intra_epochs)


def kept_epochs(probe: Artifact) -> dict[int, Path]:
    """Returns the weights of the finished probe after so many epochs of L_intra, from 0; raises Refused if none were kept."""
    found = {int(path.stem): path for path in (probe.path / "epochs").glob("*.safetensors")}
    if not found:
        raise Refused(f"the probe {probe.path} kept no epochs: train it with --set probe.keep_epochs=true")
    return dict(sorted(found.items()))


def train(worker: Worker, job: TrainJob) -> None:
    """Trains the probe: `model.safetensors`, `metrics.json` (history, train_accuracy, notes), `epochs/` where they are kept."""
    config: Probe = job.config
    data = open_training_set(worker, job)
    num_classes = read_json(job.inputs["suspect"].path / "dataset.json")["num_classes"]
    model = to_device(build_model(config.model, num_classes, stream(job.seed, "probe", "weights")), worker.device)
    wrapped, share = worker.wrap(model, partly_used=True), Share(worker.rank, worker.world_size)
    optimizers = [config.sgd.build(model.parameters()) for _ in range(2)]  # L_intra starts without momentum
    clean = partial(view, key=0, changes=(), normalization=job.settings["normalization"])

    def batches(phase: str, number: int):
        return data.epoch(stream(job.seed, "probe", phase, number), config.batch_size, share)

    def keep(number: int) -> None:
        if config.keep_epochs and worker.rank == 0:  # inside the epoch, so before the checkpoint that ends it
            folder = job.artifact.work / "epochs"
            folder.mkdir(exist_ok=True)
            save_weights(folder / f"{number:0{max(2, len(str(config.intra_epochs)))}d}.safetensors", model)

    def cross_entropy_epoch(number: int) -> Metrics:
        metrics = train_epoch(worker, wrapped, optimizers[0], batches("ce", number), clean, relearning)
        if number + 1 == config.epochs:
            metrics["train_accuracy"] = measure_accuracy(worker, model, batches("ce", number), clean)
            keep(0)
        return metrics

    def intra_epoch(number: int) -> Metrics:
        wrapped.train()
        mean = Mean(worker)
        for batch in batches("intra", number):
            with autocast(worker.device):
                features_BD, _ = wrapped(clean(batch.images, batch.index.numpy()))
            loss = class_center_similarity(worker.gather(features_BD.float()), worker.gather(batch.labels), num_classes)
            sgd_step(loss, optimizers[1])
            mean.add(loss * len(batch.labels), len(batch.labels))
        worker.synchronize(model)
        keep(number + 1)
        return {"intra_loss": mean.value()}

    epochs = [partial(cross_entropy_epoch, number) for number in range(config.epochs)]
    epochs += [partial(intra_epoch, number) for number in range(config.intra_epochs)]
    parts = {"model": model, "ce": optimizers[0], "intra": optimizers[1]}
    history = run_epochs(worker, parts, epochs)
    if worker.rank == 0:
        accuracy, notes = history[config.epochs - 1]["train_accuracy"], []
        if accuracy < config.min_train_accuracy:
            notes = [
                f"the probe fits only {accuracy:.0%} of the labels: it may not have learned a backdoor, so that scores "
                "mean little; raise probe.epochs"
            ]
        save_weights(job.artifact.work / "model.safetensors", model)
        write_json(job.artifact.work / "metrics.json", {"history": history, "train_accuracy": accuracy, "notes": notes})
