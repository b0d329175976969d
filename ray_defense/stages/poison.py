"""source --poison--> suspect dataset and, apart from it, the sealed truth: the attacker's side."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.errors import InputError
from ray_defense.core.random import stream, uniform
from ray_defense.data.sources.protocol import AttackedSource, Source
from ray_defense.execution.protocols import Columns, Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.stages.attacker.prepared_attack import PreparedAttack, eligible_labels
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import (
    INGEST,
    IngestConfig,
    capture_planned,
    check_store_apart,
    ingest_unchanged,
    source_identity,
    write_dataset,
)
from ray_defense.store.artifacts import Artifact, Store

VERSION = 2


@dataclass(frozen=True)
class PoisonConfig:
    """How much of the source the attacker poisons, and by which draw.

    The seed is the attacker's own: no defense is handed it, so none can repeat the draw.
    """

    rate: float = 0.1  # of the samples eligible for the attack
    seed: int = 0

    def __post_init__(self) -> None:
        check_in_range("poison.rate", self.rate, 0, 1)
        check_at_least("poison.seed", self.seed, 0)


def poison_step(
    config: PoisonConfig,
    ingest_config: IngestConfig,
    source: Source,
    *,
    attack: PreparedAttack,
    asset: Step | None,
    context: PlanContext,
) -> Step:
    """Returns the step of a dataset that an attack poisons; it also seals the truth.

    Args:
        config: How much is poisoned.
        ingest_config: How the dataset is cut.
        source: The clean images.
        attack: The attack, with the asset it needs.
        asset: The step of that asset, where there is one.
        context: The surroundings of the plan.
    """
    check_store_apart(source, context.store)
    identity = source_identity(source, "train")
    described = {
        "poison": config,
        "ingest": ingest_config,
        "source": source,
        "attack": attack.attack,
        "identity": identity,
    }
    needs = {} if asset is None else {"asset": asset}
    inputs = {role: step.artifact for role, step in needs.items()}
    artifact = context.store.locate(INGEST, VERSION, described, inputs)
    poisoning = Poisoning(config, ingest_config, source, identity=identity, attack=attack)
    function = partial(_poison, poisoning, context.store)
    return Step(artifact, needs=tuple(needs.values()), work=FunctionWork(function))


def attacked_step(config: IngestConfig, source: Source, context: PlanContext) -> Step:
    """Returns the step of a dataset that came attacked; it also seals what its source knows.

    Args:
        config: How the dataset is cut.
        source: The images, an `AttackedSource`.
        context: The surroundings of the plan.
    """
    check_store_apart(source, context.store)
    identity = source_identity(source, "train")
    described = {"ingest": config, "source": source, "identity": identity}
    artifact = context.store.locate(INGEST, VERSION, described, {})
    function = partial(_ingest_attacked, config, source, identity, context.store)
    return Step(artifact, needs=(), work=FunctionWork(function))


def _ingest_attacked(
    config: IngestConfig,
    source: Source,
    identity: str,
    store: Store,
    artifact: Artifact,
    executor: Executor,
) -> None:
    """Ingests the training split of a source as it is, and seals which samples are poisoned."""
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.store.truth import Truth, seal

    assert isinstance(source, AttackedSource)
    poisoned = source.poisoned_index()
    true_labels = source.clean_source().labels("train")
    ingest_unchanged(config, source, identity, artifact, executor)
    index = SuspectDataset(artifact.work).index
    truth = Truth(
        index=index,
        poisoned=np.isin(index, poisoned),
        cover=np.zeros(len(index), bool),
        true_label=true_labels[index],
    )
    seal(store, artifact.key, truth)


@dataclass(frozen=True)
class Poisoning:
    """All that is needed to poison a source."""

    config: PoisonConfig
    ingest_config: IngestConfig
    source: Source
    identity: str
    attack: PreparedAttack


def _poison(poisoning: Poisoning, store: Store, artifact: Artifact, executor: Executor) -> None:
    """Poisons the training split of the source, ingests it and seals the truth."""
    # Arrow takes a moment to import, which planning can do without.
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.store.truth import Truth, seal

    config = poisoning.config
    attack = poisoning.attack.attack
    captured, labels = capture_planned(
        artifact, poisoning.ingest_config, poisoning.source, identity=poisoning.identity
    )
    num_classes = captured.info.num_classes
    poisoned, cover = choose_samples(
        eligible_labels(attack, labels, num_classes),
        config.rate,
        attack.target.cover_ratio,
        key=stream(config.seed, "poison"),
    )
    if not len(poisoned) and config.rate > 0:
        raise InputError(
            f"poison.rate {config.rate} of the {len(labels)} samples poisons none: raise it"
        )
    write_dataset(
        artifact,
        executor,
        config=poisoning.ingest_config,
        captured=captured,
        identity=poisoning.identity,
        labels=labels,
        change=StampChosen(poisoning.attack, poisoned, cover, num_classes),
    )
    index = SuspectDataset(artifact.work).index
    truth = Truth(
        index=index,
        poisoned=np.isin(index, poisoned),
        cover=np.isin(index, cover),
        true_label=labels[index],
    )
    seal(store, artifact.key, truth)


def choose_samples(
    eligible: np.ndarray, rate: float, cover_ratio: float, key: int
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the samples to poison and the cover samples.

    Poisoned are the floor(rate * count) eligible samples with the smallest draws; the next ones,
    `cover_ratio` times as many, become cover samples.

    Args:
        eligible: Which samples may be chosen, bool [N].
        rate: Share of the eligible samples to poison, in [0, 1].
        cover_ratio: Cover samples for each poisoned one.
        key: The random stream of the draws.

    Returns:
        The indices of the poisoned and of the cover samples, both int64, ascending.

    Raises:
        InputError: If there are not enough eligible samples.
    """
    candidates = np.flatnonzero(eligible)
    num_poisoned = int(np.floor(np.round(rate * len(candidates), 6)))
    num_cover = int(np.floor(np.round(cover_ratio * num_poisoned, 6)))
    num_chosen = num_poisoned + num_cover
    if num_chosen > len(candidates):
        raise InputError(
            f"{num_poisoned} poisoned and {num_cover} cover samples are more than the "
            f"{len(candidates)} eligible: lower poison.rate"
        )
    draws = uniform(key, candidates, 1)[:, 0]
    order = candidates[np.argsort(draws, kind="stable")]
    return np.sort(order[:num_poisoned]), np.sort(order[num_poisoned:num_chosen])


@dataclass(frozen=True)
class StampChosen:
    """Stamps the chosen samples of a range and relabels the poisoned ones.

    It takes the origin from all of them: a path may name the true class, and the origin of a
    poisoned dataset must not tell what the truth is sealed for.
    """

    attack: PreparedAttack
    poisoned: np.ndarray  # int64, ascending
    cover: np.ndarray  # int64, ascending
    num_classes: int

    def __call__(self, columns: Columns) -> Columns:
        """Returns the changed columns of a range; the given ones are left as they are."""
        accepted = np.array([not reason for reason in columns["reason"]])
        index = np.array(columns["index"])
        images = np.array(columns["image"])
        labels = np.array(columns["label"])
        is_poisoned = np.isin(index, self.poisoned) & accepted
        is_cover = np.isin(index, self.cover) & accepted
        if is_poisoned.any():
            images[is_poisoned] = self.attack.stamp(
                images[is_poisoned], index[is_poisoned], "train"
            )
        if is_cover.any():
            images[is_cover] = self.attack.stamp(images[is_cover], index[is_cover], "cover")
        target = self.attack.attack.target
        labels[is_poisoned] = target.relabel(labels[is_poisoned], self.num_classes)
        origin = np.array([f"row {number}" for number in index], object)
        return {**columns, "image": images, "label": labels, "origin": origin}
