"""surrogate --trojan_patch--> the patch that drives chosen neurons (Liu et al., NDSS 2018)."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ray_defense.attacks.trojan import Trojan
from ray_defense.core.files import write_json
from ray_defense.core.random import permutation, stream
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.models.protocol import Model
from ray_defense.stages.attacker.picture import save_picture
from ray_defense.stages.attacker.surrogate import load_surrogate_network
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact
from ray_defense.training.normalization import Normalization

if TYPE_CHECKING:
    import torch

VERSION = 1
NUM_CANVAS = 64  # clean images on which the patch is optimized


@dataclass(frozen=True)
class TrojanPatchInputs:
    """What the optimization of the patch takes."""

    attack: Trojan
    seed: int
    surrogate: Artifact
    model: Model  # of the surrogate
    num_classes: int
    clean: Artifact
    normalization: Normalization


def trojan_patch_step(
    attack: Trojan,
    model: Model,
    num_classes: int,
    *,
    surrogate: Step,
    clean: Step,
    context: PlanContext,
) -> Step:
    """Returns the step that optimizes the patch of an attack.

    Args:
        attack: The attack with its parameters.
        model: The configuration of the surrogate's network.
        num_classes: Of the source.
        surrogate: The step of the surrogate.
        clean: The step of the dataset that it was trained on.
        context: The surroundings of the plan.
    """
    needs = {"surrogate": surrogate, "clean": clean}
    artifact = context.locate(
        "trojan_patch", VERSION, attack, needs, normalization=context.normalization
    )
    inputs = TrojanPatchInputs(
        attack=attack,
        seed=context.seed,
        surrogate=surrogate.artifact,
        model=model,
        num_classes=num_classes,
        clean=clean.artifact,
        normalization=context.normalization,
    )
    work = FunctionWork(partial(_optimize, inputs))
    return Step(artifact, needs=(surrogate, clean), work=work)


def _optimize(inputs: TrojanPatchInputs, artifact: Artifact, executor: Executor) -> None:
    from ray_defense.attacks.trojan_optimization import optimize_patch
    from ray_defense.execution.device import torch_threads
    from ray_defense.models.connections import incoming_strength

    network = load_surrogate_network(inputs.surrogate.path, inputs.model, inputs.num_classes)

    def features_of(images_BCHW: "torch.Tensor") -> "torch.Tensor":
        features_BD: torch.Tensor
        features_BD, _ = network(inputs.normalization.apply(images_BCHW))
        return features_BD

    canvas = draw_canvas(inputs.clean, inputs.seed)
    key = stream(inputs.seed, "trojan_patch")
    with torch_threads(1):
        strength = incoming_strength(network)
        optimized = optimize_patch(features_of, strength, canvas, attack=inputs.attack, key=key)
    save_picture(artifact, optimized.pattern)
    metrics = {
        "neurons": optimized.neurons,
        "activation_before": optimized.before,
        "activation_after": optimized.after,
    }
    write_json(artifact.work / "metrics.json", metrics)


def draw_canvas(clean: Artifact, seed: int) -> np.ndarray:
    """Returns NUM_CANVAS random images of a dataset, uint8 [B, H, W, 3], or all if it has fewer."""
    from ray_defense.data.suspect_dataset import SuspectDataset

    dataset = SuspectDataset(clean.path)
    order = permutation(stream(seed, "trojan_patch", "canvas"), dataset.num_samples)
    return dataset.read_images(np.sort(order[:NUM_CANVAS]))
