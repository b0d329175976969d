"""source --arm--> an attack ready to stamp: what some attacks need is made here, once, and shared by sweeps."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from ray_defense.attacks import Attack
from ray_defense.core.checks import at_least
from ray_defense.core.errors import look_up
from ray_defense.data.sources import Source
from ray_defense.execution.protocols import TrainJob
from ray_defense.stages import ingest as shard
from ray_defense.stages.attacker import encoder, picture, surrogate, trojan_patch
from ray_defense.stages.attacker.encoder import Encoder
from ray_defense.stages.attacker.material import Armed, Material
from ray_defense.stages.backdoored import Backdoor
from ray_defense.stages.context import Context, train_missing
from ray_defense.stages.ingest import Shard
from ray_defense.store.artifacts import Artifact


@dataclass(frozen=True)
class Attacker:
    """The attacker's own means; their seed is apart from the run's, so that runs of many seeds share them."""

    seed: int = 0
    surrogate: Backdoor = Backdoor()  # a classifier of the clean images, into which Trojan and CL look
    encoder: Encoder = Encoder()  # SSBA's

    def __post_init__(self) -> None:
        at_least("attacker.seed", self.seed, 0)


@dataclass(frozen=True)
class Order:
    """What an attack needs: where it will stand, and how it is made where the store does not hold it."""

    material: Material
    make: Callable[[], None]


@dataclass(frozen=True)
class Workshop:
    """What orders are made with; the clean images are those of the source before anybody poisons them."""

    attacker: Attacker
    cut: Shard
    source: Source
    context: Context

    @cached_property
    def clean(self) -> Artifact:
        """Where the shards of the clean images stand; asked for once, since the files may change under a long order."""
        return shard.place(self.cut, self.source, self.context)

    def train(self, job: TrainJob) -> None:
        """Shards the clean images and trains on them."""
        shard.run(self.cut, self.source, self.context)
        train_missing(self.context, [job])


def arm(attack: Attack, attacker: Attacker, cut: Shard, source: Source, context: Context) -> Armed:
    """Returns the attack with where its material stands, made or not."""
    order = _order(attack, attacker, cut, source, context)
    return Armed(attack, order and order.material)


def make(attack: Attack, attacker: Attacker, cut: Shard, source: Source, context: Context) -> Armed:
    """Makes what is missing of what `attack` needs and returns the attack ready to stamp."""
    order = _order(attack, attacker, cut, source, context)
    if order is not None:
        order.make()
    return Armed(attack, order and order.material)


def _order(attack: Attack, attacker: Attacker, cut: Shard, source: Source, context: Context) -> Order | None:
    if attack.needs is None:
        return None
    shop = Workshop(attacker, cut, source, replace(context, seed=attacker.seed))
    return look_up(ORDERS, "material", attack.needs)(attack, shop)


def _surrogate(attack: Attack, shop: Workshop) -> Order:
    config = shop.attacker.surrogate
    job = surrogate.job(config, shop.clean, shop.context)
    material = surrogate.material(job.artifact, config, shop.source.info().num_classes, shop.context)
    return Order(material, lambda: shop.train(job))


def _trojan_patch(attack: Attack, shop: Workshop) -> Order:
    if attack.pattern is not None:
        return _file(attack.pattern, shop)
    config, num_classes = shop.attacker.surrogate, shop.source.info().num_classes
    job = surrogate.job(config, shop.clean, shop.context)
    artifact = trojan_patch.place(attack, job.artifact, shop.clean, shop.context)

    def make_patch() -> None:
        shop.train(job)
        trojan_patch.make(artifact, attack, job.artifact, config.model, num_classes, shop.clean, shop.context)

    return Order(picture.material(artifact), make_patch)


def _picture(attack: Attack, shop: Workshop) -> Order:
    return _file(attack.picture, shop)


def _file(path: str | None, shop: Workshop) -> Order:
    size = shop.source.info().size
    artifact = picture.place(path, size, shop.context)
    return Order(picture.material(artifact), lambda: picture.make(artifact, path, size, shop.context))


def _encoder(attack: Attack, shop: Workshop) -> Order:
    config = shop.attacker.encoder
    job = encoder.job(config, shop.clean, shop.context)
    return Order(encoder.material(job.artifact, config), lambda: shop.train(job))


ORDERS: dict[str, Callable[[Attack, Workshop], Order]] = {
    "surrogate": _surrogate,
    "trojan_patch": _trojan_patch,
    "picture": _picture,
    "ssba_encoder": _encoder,
}
