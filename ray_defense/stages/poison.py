"""source --poison--> suspect dataset and, apart from it, the sealed truth: the attacker's side, for experiments."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_defense.core.checks import in_range
from ray_defense.core.errors import Refused
from ray_defense.core.random import stream, uniform
from ray_defense.data.sources import Source
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.stages import ingest as shard
from ray_defense.stages.attacker.eligible import eligible
from ray_defense.stages.attacker.material import Armed
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact
from ray_defense.store.truth import Truth, seal

VERSION = 2


@dataclass(frozen=True)
class Poison:
    """How much of the source the attacker poisons."""

    rate: float = 0.1  # of the samples eligible for the attack

    def __post_init__(self) -> None:
        in_range("poison.rate", self.rate, 0, 1)


@dataclass(frozen=True)
class Stamp:
    """Stamps the chosen samples of a batch and relabels the poisoned of them; takes from all where they came from."""

    armed: Armed
    poisoned: np.ndarray  # int64, ascending
    cover: np.ndarray  # int64, ascending
    num_classes: int

    def __call__(self, columns: dict[str, Any]) -> dict[str, Any]:
        good = np.array([not reason for reason in columns["reason"]])
        index, images, labels = (np.array(columns[name]) for name in ("index", "image", "label"))
        hit, covering = np.isin(index, self.poisoned) & good, np.isin(index, self.cover) & good
        for those, phase in ((hit, "train"), (covering, "cover")):
            if those.any():
                images[those] = self.armed.stamp(images[those], index[those], phase)
        labels[hit] = self.armed.attack.aim.relabel(labels[hit], self.num_classes)
        # a path may name the true class: the origin of a poisoned dataset must not tell what the truth is sealed for
        origin = np.array([f"row {number}" for number in index], object)
        return columns | {"image": images, "label": labels, "origin": origin}


def choose(may: np.ndarray, rate: float, cover_ratio: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices int64 of the poisoned and of the cover samples, both ascending, of those that `may` (bool [N]) be.

    Poisoned are the floor(rate * count) eligible samples with the smallest draws; the next, `cover_ratio` times as many, cover.
    """
    candidates = np.flatnonzero(may)
    count = int(np.floor(np.round(rate * len(candidates), 6)))
    end = count + int(np.floor(np.round(cover_ratio * count, 6)))
    if end > len(candidates):
        raise Refused(
            f"{count} poisoned and {end - count} cover samples are more than the {len(candidates)} eligible: lower poison.rate"
        )
    order = candidates[np.argsort(uniform(key, candidates, 1)[:, 0], kind="stable")]
    return np.sort(order[:count]), np.sort(order[count:end])


def place(config: Poison, cut: shard.Shard, source: Source, armed: Armed, context: Context) -> Artifact:
    """Returns where the poisoned shards stand."""
    identity = shard.identity(source, "train")
    described = {"poison": config, "shard": cut, "source": source, "attack": armed.attack, "identity": identity}
    return context.place("suspect", VERSION, described, armed.inputs)


def run(config: Poison, cut: shard.Shard, source: Source, armed: Armed, context: Context) -> Artifact:
    """Poisons the training split of `source`, shards it and seals the truth."""
    artifact, attack = place(config, cut, source, armed, context), armed.attack
    labels, num_classes = source.labels("train"), source.info().num_classes
    with context.store.claim(artifact) as missing:
        if not missing:
            return artifact
        poisoned, cover = choose(eligible(attack, source), config.rate, attack.aim.cover_ratio, stream(context.seed, "poison"))
        if not len(poisoned) and config.rate > 0:
            raise Refused(f"poison.rate {config.rate} of the {len(labels)} samples poisons none: raise it")

        def seal_truth() -> None:
            index = ShardSet(artifact.work).index
            truth = Truth(index, np.isin(index, poisoned), np.isin(index, cover), labels[index])
            seal(context.store, artifact.key, truth)

        change = Stamp(armed, poisoned, cover, num_classes)
        shard.make(artifact, cut, source, labels, change, context, before_publishing=seal_truth)
    return artifact
