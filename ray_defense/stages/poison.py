"""source --poison--> suspect dataset and, apart from it, the sealed truth: the attacker's side, for experiments."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_defense.attacks import Attack
from ray_defense.core.checks import in_range
from ray_defense.core.errors import Refused
from ray_defense.core.random import stream, uniform
from ray_defense.core.store import Artifact
from ray_defense.core.truth import Truth, seal
from ray_defense.data.shards import ShardSet
from ray_defense.data.sources import Source
from ray_defense.stages import shard
from ray_defense.stages.context import Context

VERSION = 1


@dataclass(frozen=True)
class Poison:
    """How much of the source the attacker poisons."""

    rate: float = 0.1  # of the samples eligible for the attack

    def __post_init__(self) -> None:
        in_range("poison.rate", self.rate, 0, 1)


@dataclass(frozen=True)
class Stamp:
    """Stamps and relabels the chosen samples of a batch, and takes from all of them where they came from."""

    attack: Attack
    chosen: np.ndarray  # int64, ascending
    num_classes: int

    def __call__(self, columns: dict[str, Any]) -> dict[str, Any]:
        good = np.array([not reason for reason in columns["reason"]])
        hit = np.isin(columns["index"], self.chosen) & good
        images, labels = np.array(columns["image"]), np.array(columns["label"])
        if hit.any():
            images[hit] = self.attack.stamp(images[hit], np.asarray(columns["index"])[hit], phase="train")
            labels[hit] = self.attack.relabel(labels[hit], self.num_classes)
        # a path may name the true class: the origin of a poisoned dataset must not tell what the truth is sealed for
        origin = np.array([f"row {index}" for index in columns["index"]], object)
        return columns | {"image": images, "label": labels, "origin": origin}


def choose(eligible: np.ndarray, rate: float, key: int) -> np.ndarray:
    """Returns the indices int64 of the floor(rate * count) eligible samples with the smallest draws, ascending."""
    candidates = np.flatnonzero(eligible)
    count = int(np.floor(np.round(rate * len(candidates), 6)))
    draws = uniform(key, candidates, 1)[:, 0]
    return np.sort(candidates[np.argsort(draws, kind="stable")[:count]])


def run(config: Poison, cut: shard.Shard, source: Source, attack: Attack, context: Context) -> Artifact:
    """Poisons the training split of `source`, shards it and seals the truth."""
    labels, num_classes = source.labels("train"), source.info().num_classes
    identity = shard.identity(source, "train")
    described = {"poison": config, "shard": cut, "source": source, "attack": attack, "identity": identity}
    artifact = context.place("suspect", VERSION, described, {})
    with context.store.claim(artifact) as missing:
        if not missing:
            return artifact
        valid = (labels >= 0) & (labels < num_classes)
        eligible = np.zeros(len(labels), bool)
        eligible[valid] = attack.eligible(labels[valid])
        chosen = choose(eligible, config.rate, stream(context.seed, "poison"))
        if not len(chosen) and config.rate > 0:
            raise Refused(f"poison.rate {config.rate} of the {int(valid.sum())} samples poisons none: raise it")

        def seal_truth() -> None:
            index = ShardSet(artifact.work).index
            truth = Truth(index, np.isin(index, chosen), labels[index])
            seal(context.store.root, artifact.key, truth)

        change = Stamp(attack, chosen, num_classes)
        shard.make(artifact, cut, source, labels, change, context, before_publishing=seal_truth)
    return artifact
