"""Growing: networks learn what the finds of another detector have in common, and look for more.

Seeds are the samples that the other detector finds. Out of fold, networks learn to tell seeds (1)
from their own mirror images and from the rest (0); S is the log-odds that they give to held-out
samples. Seeds that share a trigger lead to the samples that the other detector missed.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice
from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.required_models import NetworkInputs, RequiredModel, SmallNetworks
from ray_defense.detectors.seeds import SeedRule, choose_seeds, pseudo_seeds
from ray_defense.detectors.step_epochs import num_epochs_of
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models import MODELS
from ray_defense.models.small_resnet_coordinates import SmallResNetCoordinates
from ray_defense.scores.coherence import seed_coherence
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd
from ray_defense.transforms import TRANSFORMS
from ray_defense.transforms.flip import Flip
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch

NETWORKS_VERSION = 2


@dataclass(frozen=True)
class GrowTraining:
    """How the networks are trained: by cross-entropy, without augmentation, on a cosine."""

    model: Any = choice(MODELS, default=SmallResNetCoordinates())
    folds: int = 3
    steps: int = 400
    seeds_a_step: int = 64  # with as many counterparts, and twice as many of the rest
    # What makes the counterpart of a seed; without any, seeds are told from the rest alone.
    counterpart: tuple[Transform, ...] = choice(TRANSFORMS, default=(Flip(),))
    sgd: Sgd = Sgd(0.05)
    noise: float = 0.0  # standard deviation of Gaussian noise on all training views, of 255 levels
    workers: WorkerGroup = WorkerGroup(cpus_per_worker=1)

    def __post_init__(self) -> None:
        check_at_least("training.folds", self.folds, 2)
        check_at_least("training.steps", self.steps, 1)
        check_at_least("training.seeds_a_step", self.seeds_a_step, 1)
        check_in_range("training.noise", self.noise, 0, 255)


@dataclass(frozen=True)
class GrowNetworks:
    """What identifies the networks of one round."""

    training: GrowTraining
    seeds: SeedRule
    band: int  # 0: they learn the seeds; 1, 2, ...: the pseudo-seeds of that band

    @property
    def workers(self) -> WorkerGroup:
        return self.training.workers

    @property
    def num_epochs(self) -> int:
        return num_epochs_of(self.training.steps)


@dataclass(frozen=True)
class Grow:
    """The log-odds S of being like the seeds; 0 for all samples where there are no seeds.

    The seeds of the first round are what the followed detector finds at a false discovery rate
    (knockoff+), or its highest scores; the seeds of later rounds are the samples with S > 0. The
    evidence's metrics are `num_seeds` and, where there are seeds, `coherence`: how far held-out
    seeds stand above pseudo-seeds, in the last round (see `scores.coherence`).
    """

    name: ClassVar[str] = "grow"
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    follows: str = "mirror"
    rate: float = 0.05  # the false discovery rate of the seeds
    num_highest: int = 0  # seeds by the highest scores, where a rate means nothing; 0: by the rate
    rounds: int = 1
    num_bands: int = 1  # of pseudo-seeds, each with networks of its own
    training: GrowTraining = GrowTraining()

    def __post_init__(self) -> None:
        check_in_range("rate", self.rate, 0, 1)
        check_at_least("num_highest", self.num_highest, 0)
        check_at_least("rounds", self.rounds, 1)
        check_at_least("num_bands", self.num_bands, 0)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def models(self) -> tuple[RequiredModel, ...]:
        return self.in_round(1).models

    @property
    def seed_share(self) -> float:
        return 1 / (4 if self.training.counterpart else 3)  # the rest is twice as many

    def read(self, batch: "SampleBatch") -> Columns:
        return self.in_round(1).read(batch)

    def in_round(self, number: int) -> "GrowRound":
        return GrowRound(self, number)


@dataclass(frozen=True)
class GrowRound:
    """One round of growing."""

    name: ClassVar[str] = Grow.name
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    grow: Grow
    number: int  # from 1

    @property
    def columns(self) -> tuple[str, ...]:
        return self.grow.columns

    @property
    def models(self) -> tuple[RequiredModel, ...]:
        bands = range(1 + self.grow.num_bands)
        return tuple(self._networks(band) for band in bands)

    @property
    def _seeds(self) -> SeedRule:
        if self.number == 1:
            return SeedRule(self.grow.follows, self.grow.rate, self.grow.num_highest)
        return SeedRule(self.name, above_zero=True)

    def _networks(self, band: int) -> SmallNetworks:
        name = f"{self.name}_{self.number}"
        if band:
            name = f"{name}_band_{band}"
        return SmallNetworks(
            name=name,
            version=NETWORKS_VERSION,
            training=GrowNetworks(self.grow.training, self._seeds, band),
            network=self.grow.training.model,
            num_folds=self.grow.training.folds,
            num_classes=2,
            program=_train,
        )

    def read(self, batch: "SampleBatch") -> Columns:
        columns: Columns = {}
        for band in range(1 + self.grow.num_bands):
            logits_BN = batch.outputs(self._networks(band)).logits_BN.double()
            log_odds_B = logits_BN[:, 1] - logits_BN[:, 0]
            columns[self._column_of(band)] = log_odds_B.cpu().numpy()
        return columns

    def finish(self, gathered: "Gathered") -> Finished:
        score_N = gathered.columns[self.name]
        scores_of_rule_N = gathered.evidence[self._seeds.column]
        seeds = choose_seeds(self._seeds, scores_of_rule_N)
        metrics = {"num_seeds": float(len(seeds))}
        of_bands = []
        for band in range(1, 1 + self.grow.num_bands):
            members = pseudo_seeds(scores_of_rule_N, len(seeds), band)
            if len(members):
                of_bands.append(gathered.columns[self._column_of(band)][members])
        if of_bands:
            metrics["coherence"] = seed_coherence(score_N[seeds], of_bands).auroc
        return Finished({self.name: score_N}, metrics)

    def _column_of(self, band: int) -> str:
        return f"{self.name}_band_{band}" if band else self.name


def _train(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    from ray_defense.detectors.grow_training import train_grow_network

    train_grow_network(worker, artifact, inputs)
