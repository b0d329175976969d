"""Fine-tuning of the backdoored model on clean images."""

from functools import partial
from typing import TYPE_CHECKING

from ray_defense.core.files import write_json
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.defenses.supervised_phase import SupervisedPhase
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import run_epochs
from ray_defense.training.schedules import cosine_decay, set_rate

if TYPE_CHECKING:
    from ray_defense.defenses.ft import FineTuning


def train_ft(
    config: "FineTuning", worker: Worker, artifact: Artifact, inputs: DefenseInputs
) -> None:
    """Trains FT: `model.safetensors`, the model after the last epoch, and `metrics.json`."""
    phase = SupervisedPhase.on_clean_images("ft", config, worker, inputs)
    model = inputs.load_backdoored(worker, phase.data.num_classes)
    wrapped = worker.wrap(model)
    optimizer = config.sgd.build(model.parameters())

    def run_epoch(number: int) -> Metrics:
        set_rate(optimizer, cosine_decay(config.sgd.learning_rate, number / config.epochs))
        return phase.run_epoch(number, wrapped, optimizer)

    epochs = [partial(run_epoch, number) for number in range(config.epochs)]
    history = run_epochs(worker, {"model": model, "optimizer": optimizer}, epochs)
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, model)
        write_json(artifact.work / "metrics.json", {"history": history})
