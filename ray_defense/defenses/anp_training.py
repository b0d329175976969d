"""The training of ANP's masks, and the threshold under which neurons are pruned.

Shapes: B samples, N classes, K neurons of a layer.
"""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.core.random import stream, uniform
from ray_defense.data.training_set import WorkerShare
from ray_defense.defenses.neuron_masks import (
    NeuronChange,
    masked_parameters,
    norms_of,
    prune_neurons,
    worst_change,
)
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.defenses.supervised_phase import SupervisedPhase
from ray_defense.detectors.step_epochs import STEPS_AN_EPOCH
from ray_defense.detectors.step_training import endless_batches
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import (
    RunningMean,
    Stateful,
    autocast,
    average_gradients,
    run_epochs,
)

if TYPE_CHECKING:
    from ray_defense.defenses.anp import NeuronPruning


def train_anp(
    config: "NeuronPruning", worker: Worker, artifact: Artifact, inputs: DefenseInputs
) -> None:
    """Trains ANP: `model.safetensors`, the pruned model, and `metrics.json`.

    The metrics hold the accuracy on the clean images at each threshold that was tried.
    """
    training = _MaskTraining(config, worker, inputs)
    epochs = [partial(training.run_epoch, number) for number in range(config.num_epochs)]
    parts: dict[str, Stateful] = {"masks": training.masks, "optimizer": training.optimizer}
    history = run_epochs(worker, parts, epochs)
    network, pruning = training.prune()
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, network)
        write_json(artifact.work / "metrics.json", {"history": history, **pruning})


class _MaskTraining:
    """The masks of the backdoored model's neurons, and the clean images."""

    def __init__(self, config: "NeuronPruning", worker: Worker, inputs: DefenseInputs):
        self.config = config
        self.worker = worker
        self.inputs = inputs
        self.phase = SupervisedPhase.on_clean_images("anp", config, worker, inputs)
        # Its running statistics move, and nobody reads them: what is pruned is a fresh copy.
        self.network = inputs.load_backdoored(worker, self.phase.data.num_classes).train()
        self.network.requires_grad_(False)
        self.norms = norms_of(self.network)
        if not self.norms:
            raise InputError("anp prunes channels of BatchNorm layers, and the network has none")
        ones = [torch.ones_like(norm.weight) for norm in self.norms.values()]
        self.masks = nn.ParameterList(ones)
        self.optimizer = config.sgd.build(self.masks.parameters())

    def run_epoch(self, number: int) -> Metrics:
        config = self.config
        first = number * STEPS_AN_EPOCH
        num_steps = min(STEPS_AN_EPOCH, config.steps - first)
        key = stream(self.inputs.seed, "anp", "order", number)
        share = WorkerShare.of(self.worker)
        batches = endless_batches(self.phase.data, key, config.batch_size, share)
        mean_loss = RunningMean(self.worker)
        for step, batch in enumerate(islice(batches, num_steps), first):
            images_BCHW = self.phase.view(step)(batch.images, batch.index.numpy())
            loss = self._take_step(images_BCHW, batch.labels, step)
            mean_loss.add(loss * len(batch.labels), len(batch.labels))
        values_K = torch.cat([mask.detach() for mask in self.masks])
        return {"loss": mean_loss.value(), "mean_mask": values_K.mean().item()}

    def _take_step(
        self, images_BCHW: torch.Tensor, labels_B: torch.Tensor, step: int
    ) -> torch.Tensor:
        """Takes one step of the masks against the worst change (Eq. 6) and returns the loss."""
        config = self.config
        change = worst_change(
            self._random_change(step),
            partial(self._gradients, images_BCHW, labels_B),
            config.epsilon,
            config.ascent_steps,
        )
        masks = list(self.masks)
        natural = self._loss(images_BCHW, labels_B, masks, None)
        robust = self._loss(images_BCHW, labels_B, masks, change)
        loss = config.alpha * natural + (1 - config.alpha) * robust
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.worker, masks)
        self.optimizer.step()
        with torch.no_grad():
            for mask_K in masks:
                mask_K.clamp_(0, 1)
        return loss

    def _random_change(self, step: int) -> NeuronChange:
        """Returns a change that is uniform in [-epsilon, epsilon], the same on every worker."""
        num_neurons = sum(len(mask_K) for mask_K in self.masks)
        key = stream(self.inputs.seed, "anp", "change", step)
        draws = self.config.epsilon * (2 * uniform(key, np.arange(num_neurons), 2) - 1)
        drawn = torch.from_numpy(draws).to(self.worker.device, torch.float32)
        change = []
        for of_layer in torch.split(drawn, [len(mask_K) for mask_K in self.masks]):
            change.append((of_layer[:, 0], of_layer[:, 1]))
        return change

    def _gradients(
        self, images_BCHW: torch.Tensor, labels_B: torch.Tensor, change: NeuronChange
    ) -> list[torch.Tensor]:
        """Returns the gradients of the loss by all deltas and xis, over all workers."""
        leaves: list[torch.Tensor] = []
        asked: NeuronChange = []
        for delta_K, xi_K in change:
            pair = (delta_K.clone().requires_grad_(True), xi_K.clone().requires_grad_(True))
            asked.append(pair)
            leaves.extend(pair)
        masks = [mask_K.detach() for mask_K in self.masks]
        loss = self._loss(images_BCHW, labels_B, masks, asked)
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.worker, leaves)
        gradients = []
        for leaf in leaves:
            assert leaf.grad is not None
            gradients.append(leaf.grad)
        return gradients

    def _loss(
        self,
        images_BCHW: torch.Tensor,
        labels_B: torch.Tensor,
        masks: Sequence[torch.Tensor],
        change: NeuronChange | None,
    ) -> torch.Tensor:
        parameters = masked_parameters(self.norms, masks, change)
        with autocast(self.worker.device):
            _, logits_BN = functional_call(self.network, parameters, (images_BCHW,))
        return cross_entropy(logits_BN.float(), labels_B)

    def prune(self) -> tuple[nn.Module, dict[str, Any]]:
        """Returns the backdoored model, pruned, and what was tried to find the threshold."""
        config = self.config
        masks = [mask_K.detach() for mask_K in self.masks]
        kept: nn.Module = self._fresh_network()
        lowest_accuracy = self.phase.measure_accuracy(kept) - config.max_accuracy_drop
        kept_threshold = 0.0
        tried = []
        for number in range(1, int(np.ceil(np.round(1 / config.threshold_step, 6)))):
            threshold = round(number * config.threshold_step, 6)
            pruned = self._fresh_network()
            num_pruned = prune_neurons(pruned, masks, threshold)
            accuracy = self.phase.measure_accuracy(pruned)
            tried.append(
                {"threshold": threshold, "num_pruned": num_pruned, "clean_accuracy": accuracy}
            )
            if accuracy < lowest_accuracy:
                break
            kept = pruned
            kept_threshold = threshold
        return kept, {"kept_threshold": kept_threshold, "thresholds": tried}

    def _fresh_network(self) -> nn.Module:
        network: nn.Module = self.inputs.load_backdoored(self.worker, self.phase.data.num_classes)
        return network
