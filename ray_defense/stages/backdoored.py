"""suspect dataset --backdoor--> the backdoored model: ordinary training on what was received (Algorithm 4, step 2)."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from ray_defense.core.checks import at_least
from ray_defense.core.config import choice
from ray_defense.core.files import read_json, write_json
from ray_defense.core.random import stream
from ray_defense.data.training_set import Share, open_training_set
from ray_defense.execution.protocols import TrainJob, Worker
from ray_defense.losses import relearning
from ray_defense.models import MODELS, ResNet18, build_model, save_weights
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import Metrics, run_epochs, to_device
from ray_defense.training.schedules import set_rate, step_decay
from ray_defense.training.settings import Sgd, Workers
from ray_defense.training.supervised import train_epoch
from ray_defense.training.views import view
from ray_defense.transforms import AUGMENTATIONS, CropFlip

VERSION = 1


@dataclass(frozen=True)
class Backdoor:
    """Cross-entropy training; defaults are the paper's for CIFAR-10."""

    model: Any = choice(MODELS, default=ResNet18())
    epochs: int = 200
    milestones: tuple[int, ...] = (100, 150)  # epochs at which the rate falls to a tenth
    batch_size: int = 128  # over all workers
    sgd: Sgd = Sgd(0.01)
    augmentation: Any = choice(AUGMENTATIONS, default=CropFlip())
    workers: Workers = Workers()

    def __post_init__(self) -> None:
        at_least("backdoor.epochs", self.epochs, 1)
        at_least("backdoor.batch_size", self.batch_size, 2)


def job(config: Backdoor, suspect: Artifact, context: Context, stage: str = "backdoored") -> TrainJob:
    """Returns the training job of the backdoored model, or of another classifier made the same way, named by its `stage`."""
    artifact = context.place(stage, VERSION, config, {"suspect": suspect}, **context.settings)
    return TrainJob(train, config, context.seed, artifact, {"suspect": suspect}, context.settings, config.epochs)


def train(worker: Worker, job: TrainJob) -> None:
    """Trains the model: `model.safetensors` and `metrics.json`."""
    config: Backdoor = job.config
    stage = job.artifact.stage
    data = open_training_set(worker, job)
    num_classes = read_json(job.inputs["suspect"].path / "dataset.json")["num_classes"]
    model = to_device(build_model(config.model, num_classes, stream(job.seed, stage, "weights")), worker.device)
    wrapped, optimizer = worker.wrap(model), config.sgd.build(model.parameters())
    share = Share(worker.rank, worker.world_size)

    def epoch(number: int) -> Metrics:
        set_rate(optimizer, step_decay(config.sgd.learning_rate, number, config.milestones))
        batches = data.epoch(stream(job.seed, stage, "order", number), config.batch_size, share)
        key = stream(job.seed, stage, "view", number)
        normalization = job.settings["normalization"]
        augmented = partial(view, key=key, changes=(config.augmentation,), normalization=normalization)
        return train_epoch(worker, wrapped, optimizer, batches, augmented, relearning)

    epochs = [partial(epoch, number) for number in range(config.epochs)]
    history = run_epochs(worker, {"model": model, "optimizer": optimizer}, epochs)
    if worker.rank == 0:
        save_weights(job.artifact.work / "model.safetensors", model)
        write_json(job.artifact.work / "metrics.json", {"history": history})
