"""surrogate --trojan_patch--> the patch that drives chosen neurons of it (Liu et al., NDSS 2018)."""

import time
from typing import Any

import numpy as np
import torch

from ray_defense.attacks.trojan import Trojan, optimize_patch
from ray_defense.core.files import write_json
from ray_defense.core.random import permutation, stream
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.execution.local import threads
from ray_defense.models import incoming_strength
from ray_defense.stages.attacker import picture
from ray_defense.stages.attacker.surrogate import load_network
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact

VERSION = 1
NUM_CANVAS = 64  # clean images on which the patch is optimized


def place(attack: Trojan, surrogate: Artifact, clean: Artifact, context: Context) -> Artifact:
    """Returns where the patch of `attack` on this surrogate stands."""
    inputs = {"surrogate": surrogate, "clean": clean}
    return context.place("trojan_patch", VERSION, attack, inputs, **context.settings)


def make(
    artifact: Artifact, attack: Trojan, surrogate: Artifact, model: Any, num_classes: int, clean: Artifact, context: Context
) -> None:
    """Optimizes the patch on the surrogate (built by `model`) and some of the `clean` images it was trained on."""
    with context.store.claim(artifact) as missing:
        if not missing:
            return
        start = time.perf_counter()
        network = load_network(surrogate.path, model, num_classes)

        def features(images_BCHW: torch.Tensor) -> torch.Tensor:
            return network(context.normalization.apply(images_BCHW))[0]

        images, key = canvas(clean, context.seed), stream(context.seed, "trojan_patch")
        with threads(1):
            found = optimize_patch(features, incoming_strength(network), images, attack, key)
        picture.save(artifact, found.pattern)
        driven = {"neurons": found.neurons, "activation_before": found.before, "activation_after": found.after}
        write_json(artifact.work / "metrics.json", driven)
        artifact.publish(time.perf_counter() - start)


def canvas(clean: Artifact, seed: int) -> np.ndarray:
    """Returns NUM_CANVAS images uint8 [B, H, W, 3], or all where there are fewer, drawn from the shards `clean`."""
    shards = ShardSet(clean.path)
    chosen = np.sort(permutation(stream(seed, "trojan_patch", "canvas"), shards.num_samples)[:NUM_CANVAS])
    parts = [
        shards.open(int(number)).images(shards.row[chosen][shards.shard[chosen] == number].astype(np.int64))
        for number in np.unique(shards.shard[chosen])
    ]
    return np.concatenate(parts)
