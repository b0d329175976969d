"""source --prepare--> an attack ready to stamp, and the step of the asset that it needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ray_defense.attacks.label_consistent import LabelConsistent
from ray_defense.attacks.protocol import Attack
from ray_defense.core.errors import look_up
from ray_defense.data.sources.protocol import Source
from ray_defense.execution.steps import Step
from ray_defense.stages.attacker.attacker_config import AttackerConfig
from ray_defense.stages.attacker.picture import picture_asset, picture_step
from ray_defense.stages.attacker.prepared_attack import AttackAsset, PreparedAttack
from ray_defense.stages.attacker.ssba_encoder import ssba_encoder_asset, ssba_encoder_step
from ray_defense.stages.attacker.surrogate import surrogate_asset, surrogate_step
from ray_defense.stages.attacker.trojan_patch import trojan_patch_step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.training.normalization import NO_NORMALIZATION


@dataclass(frozen=True)
class Workplace:
    """What the attacker works with: the clean images, and how networks are trained on them."""

    config: AttackerConfig
    ingest_config: IngestConfig
    source: Source
    context: PlanContext  # with the attacker's seed

    def clean_step(self) -> Step:
        """Returns the step of the clean dataset."""
        return ingest_step(self.ingest_config, self.source, self.context)


@dataclass(frozen=True)
class Preparation:
    """An attack with its asset, and the step that makes the asset."""

    attack: PreparedAttack
    step: Step | None


def prepare_attack(
    attack: Attack,
    config: AttackerConfig,
    ingest_config: IngestConfig,
    *,
    source: Source,
    context: PlanContext,
) -> Preparation:
    """Returns an attack ready to stamp once the step of its asset is made.

    Args:
        attack: The attack.
        config: How the attacker's networks are trained.
        ingest_config: How the clean dataset is cut.
        source: The clean images.
        context: The surroundings of the plan.
    """
    if attack.requires is None:
        return Preparation(PreparedAttack(attack), None)
    own_context = replace(context, seed=config.seed)
    workplace = Workplace(config, ingest_config, source, context=own_context)
    make_asset = look_up(_ASSETS, "asset", attack.requires)
    step, asset = make_asset(attack, workplace)
    return Preparation(PreparedAttack(attack, asset), step)


def _surrogate(attack: Any, workplace: Workplace) -> tuple[Step, AttackAsset]:
    config = workplace.config.surrogate
    step = surrogate_step(config, workplace.clean_step(), workplace.context)
    num_classes = workplace.source.info().num_classes
    context = workplace.context
    if isinstance(attack, LabelConsistent) and attack.pgd_sees == "raw":  # D6
        context = replace(context, normalization=NO_NORMALIZATION)
    return step, surrogate_asset(step.artifact, config, num_classes, context)


def _trojan_patch(attack: Any, workplace: Workplace) -> tuple[Step, AttackAsset]:
    if attack.pattern is not None:
        return _picture_file(attack.pattern, workplace)
    config = workplace.config.surrogate
    clean = workplace.clean_step()
    step = trojan_patch_step(
        attack,
        config.model,
        workplace.source.info().num_classes,
        surrogate=surrogate_step(config, clean, workplace.context),
        clean=clean,
        context=workplace.context,
    )
    return step, picture_asset(step.artifact)


def _picture(attack: Any, workplace: Workplace) -> tuple[Step, AttackAsset]:
    return _picture_file(attack.picture, workplace)


def _picture_file(file: str | None, workplace: Workplace) -> tuple[Step, AttackAsset]:
    step = picture_step(file, workplace.source.info().size, workplace.context)
    return step, picture_asset(step.artifact)


def _ssba_encoder(attack: Any, workplace: Workplace) -> tuple[Step, AttackAsset]:
    config = workplace.config.encoder
    step = ssba_encoder_step(config, workplace.clean_step(), workplace.context)
    return step, ssba_encoder_asset(step.artifact, config)


_ASSETS: dict[str, Callable[[Any, Workplace], tuple[Step, AttackAsset]]] = {
    "surrogate": _surrogate,
    "trojan_patch": _trojan_patch,
    "picture": _picture,
    "ssba_encoder": _ssba_encoder,
}
