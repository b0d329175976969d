"""The phases of SimCLR and SupCon: the extractor, then the classifier on all samples.

Shapes: B samples, N classes.
"""

from functools import partial
from typing import TYPE_CHECKING

import torch

from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.defenses.contrastive_phase import ContrastivePhase
from ray_defense.defenses.frozen_extractor_phase import FrozenExtractorPhase
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import Stateful, run_epochs, to_device

if TYPE_CHECKING:
    from ray_defense.defenses.contrastive_baseline import ContrastiveBaseline


def train_contrastive_baseline(
    config: "ContrastiveBaseline", worker: Worker, artifact: Artifact, inputs: DefenseInputs
) -> None:
    """Trains from scratch: `model.safetensors` (extractor and classifier) and `metrics.json`."""
    data = inputs.open_samples(worker, config.workers)
    weights_seed = stream(inputs.seed, config.name, "weights")
    model = to_device(build_model(config.model, data.num_classes, weights_seed), worker.device)
    extractor_phase = ContrastivePhase(
        config.name,
        config,
        worker,
        inputs,
        model=model,
        data=data,
        transforms=(config.augmentation,),
        labeled_index=data.index if config.uses_labels else data.index[:0],
    )
    classifier_optimizer = config.classifier_sgd.build(model.classifier.parameters())
    classifier_phase = FrozenExtractorPhase(
        (config.name, "classifier order", "classifier view"),
        worker,
        inputs,
        model=model,
        data=data,
        batch_size=config.classifier_batch_size,
        optimizer=classifier_optimizer,
        transforms=(config.classifier_augmentation,),
        loss=_cross_entropy_of_batch,
    )

    def run_classifier_epoch(number: int) -> Metrics:
        metrics = classifier_phase.run_epoch(number)
        return {f"classifier_{name}": value for name, value in metrics.items()}

    epochs = []
    for number in range(config.epochs):
        epochs.append(partial(extractor_phase.run_epoch, number))
    for number in range(config.classifier_epochs):
        epochs.append(partial(run_classifier_epoch, number))
    parts: dict[str, Stateful] = {
        "extractor": extractor_phase.extractor,
        "optimizer": extractor_phase.optimizer,
        "classifier_optimizer": classifier_optimizer,
    }
    history = run_epochs(worker, parts, epochs)
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, model)
        write_json(artifact.work / "metrics.json", {"history": history})


def _cross_entropy_of_batch(logits_BN: torch.Tensor, batch: ImageBatch) -> torch.Tensor:
    return cross_entropy(logits_BN, batch.labels)
