"""D-BR (Algorithm 4): a backdoored model unlearns the poisoned split (Eq. 4) and relearns the trusted (Eq. 5), in rounds."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from ray_defense.core.checks import at_least, in_range
from ray_defense.core.errors import Refused
from ray_defense.core.files import read_json, write_json
from ray_defense.core.random import stream
from ray_defense.data.split_table import read_split
from ray_defense.data.training_set import Share, open_training_set
from ray_defense.execution.protocols import TrainJob, Worker
from ray_defense.losses import relearning, unlearning
from ray_defense.models import build_model, load_weights, save_weights
from ray_defense.training.loop import Metrics, run_epochs, to_device
from ray_defense.training.settings import Sgd, Workers
from ray_defense.training.supervised import measure_accuracy, train_epoch
from ray_defense.training.views import view

LOSSES = {"unlearn": ("poisoned", unlearning), "relearn": ("trusted", relearning)}


@dataclass(frozen=True)
class BackdoorRemoval:
    """D-BR; the model and its augmentation are those of the backdoored model.

    `keep="last"` keeps the last round; `keep="splits"` the round with the largest accuracy on the trusted split minus
    agreement with the labels of the poisoned split: neither sees test data or truth (D7). Gradient ascent has no end of
    its own: `unlearn_above` is the agreement with the poisoned labels up to which a round leaves out unlearning.
    """

    name: ClassVar[str] = "d_br"

    rounds: int = 20  # e_ft
    steps: tuple[Literal["unlearn", "relearn"], ...] = ("unlearn", "relearn")  # of each round, one epoch each
    unlearn_above: float | None = None  # in [0, 1]; None: every round unlearns, as in the paper
    batch_size: int = 128  # over all workers
    sgd: Sgd = Sgd(1e-4)  # one optimizer for both steps
    keep: Literal["last", "splits"] = "last"
    workers: Workers = Workers()

    def __post_init__(self) -> None:
        at_least("d_br.rounds", self.rounds, 1)
        at_least("d_br.batch_size", self.batch_size, 2)
        if self.unlearn_above is not None:
            in_range("d_br.unlearn_above", self.unlearn_above, 0, 1)

    @property
    def num_epochs(self) -> int:
        """Rounds, for the progress display."""
        return self.rounds


def train(worker: Worker, job: TrainJob) -> None:
    """Trains D-BR: `model.safetensors`, the model after each round under `rounds/`, `metrics.json` with what each round gave.

    Inputs: suspect, backdoored, split. Settings: model, augmentation, normalization.
    """
    config: BackdoorRemoval = job.config
    table = read_split(job.inputs["split"].path / "split.parquet")
    members = {name: table.members(name) for name in ("trusted", "poisoned")}
    for name, index in members.items():
        if not len(index):
            raise Refused(f"the {name} split is empty: D-BR needs both; set the fractions of the split above 0")
    sets = {name: open_training_set(worker, job, index) for name, index in members.items()}
    num_classes = read_json(job.inputs["suspect"].path / "dataset.json")["num_classes"]
    model = to_device(build_model(job.settings["model"], num_classes, 0), worker.device)
    load_weights(job.inputs["backdoored"].path / "model.safetensors", model)
    wrapped, optimizer = worker.wrap(model), config.sgd.build(model.parameters())
    share = Share(worker.rank, worker.world_size)
    normalization = job.settings["normalization"]

    def clean(images, index):
        return view(images, index, 0, (), normalization)

    def agreement(name: str) -> float:
        return measure_accuracy(worker, model, sets[name].epoch(0, config.batch_size, share), clean)

    def one_round(number: int) -> Metrics:
        metrics: Metrics = {}
        unlearned = config.unlearn_above is not None and agreement("poisoned") <= config.unlearn_above
        for step in config.steps:
            if step == "unlearn" and unlearned:
                continue
            name, loss = LOSSES[step]
            batches = sets[name].epoch(stream(job.seed, "d_br", "order", step, number), config.batch_size, share)
            key = stream(job.seed, "d_br", "view", step, number)
            augmented = partial(view, key=key, changes=(job.settings["augmentation"],), normalization=normalization)
            metrics[f"{step}_loss"] = train_epoch(worker, wrapped, optimizer, batches, augmented, loss)["loss"]
        for name in sets:
            metrics[f"{name}_accuracy"] = agreement(name)
        if worker.rank == 0:
            rounds = job.artifact.work / "rounds"
            rounds.mkdir(exist_ok=True)
            save_weights(rounds / f"round-{number + 1:03d}.safetensors", model)
        return metrics

    epochs = [partial(one_round, number) for number in range(config.rounds)]
    history = run_epochs(worker, {"model": model, "optimizer": optimizer}, epochs)
    if worker.rank == 0:
        kept = kept_round(history, config.keep)
        load_weights(job.artifact.work / "rounds" / f"round-{kept:03d}.safetensors", model)
        save_weights(job.artifact.work / "model.safetensors", model)
        write_json(job.artifact.work / "metrics.json", {"history": history, "kept_round": kept})


def kept_round(history: list[Metrics], keep: Literal["last", "splits"]) -> int:
    """Returns the number (from 1) of the round to keep, by what the two splits say (D7)."""
    if keep == "last":
        return len(history)
    gains = np.array([metrics["trusted_accuracy"] - metrics["poisoned_accuracy"] for metrics in history])
    return int(np.argmax(gains)) + 1
