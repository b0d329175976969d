"""The recipe of an audit: size, networks and lengths of training are chosen from the data and said.

The rules look at the number and the size of the images alone, never at labels or scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from ray_defense.core.errors import InputError, look_up
from ray_defense.data.sources.protocol import Source
from ray_defense.defenses import DEFENSES
from ray_defense.detectors.fct_draws import FctDraws
from ray_defense.detectors.fixed_pattern import FixedPattern
from ray_defense.detectors.grow import Grow
from ray_defense.detectors.handed_pattern import HandedPattern
from ray_defense.detectors.mirror import Mirror
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.detectors.protocol import Detector
from ray_defense.models.protocol import Model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.small_resnet_coordinates import SmallResNetCoordinates
from ray_defense.models.small_resnet_deep_stem import SmallResNetDeepStem
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes.own_images import folder
from ray_defense.stages.canaries import CanaryConfig
from ray_defense.stages.detect import DetectConfig

SIZES = (32, 64, 128, 224)  # pixels a side
_HALVINGS = {32: 1, 64: 2, 128: 3, 224: 3}  # of the stem, so that a step costs about the same
FEW_SAMPLES = 8000  # below, networks are trained in more folds, and on noisy views
_NOISE = 6.0  # of 255 levels
_LABEL_SAMPLES = 80_000  # images that a network sees in all while it learns labels
_MOST_EPOCHS = 40
_OF_DEFENSES = ("defenses", "backdoored", "given")  # fields of a recipe that no audit has


@dataclass(frozen=True)
class AuditSettings:
    """What a user may decide about an audit.

    Attributes:
        quick: Whether only the fastest detectors are used.
        size: The side that images are resized to, in pixels; None chooses it from the data.
        power: How many canaries are planted in each copy; empty measures no power.
        seed: Of the run.
        network: Of the probe; None chooses it from the size of the images. The networks of the
            mirror filter and of growing are small ones of their own, which see where a pixel is.
        weights: A file of weights that the probe starts from; None for random ones.
    """

    quick: bool = False
    size: int | None = None
    power: tuple[int, ...] = ()
    seed: int = 0
    network: Model | None = None
    weights: str | Path | None = None


@dataclass(frozen=True)
class AuditPlan:
    """The recipe of an audit, and what was chosen and why, in words by what it is about."""

    recipe: Recipe
    choices: dict[str, str]


def plan_audit(
    source: Source, num_samples: int, side: int | None, settings: AuditSettings
) -> AuditPlan:
    """Returns the recipe of an audit.

    Args:
        source: The images; its field `size` is replaced.
        num_samples: Training images.
        side: The median of their shorter sides in pixels; None where it is not known.
        settings: What the user decided.

    Raises:
        InputError: For a network whose features no detector of the audit can read, or weights that
            do not fit it.
    """
    _check_network(settings)
    given_size: int = getattr(source, "size", SIZES[0])
    if settings.size is not None:
        size = settings.size
        reason = "as asked for"
    elif side is not None:
        size = choose_size(side)
        reason = f"half of them have a shorter side of at most {side}"
    else:
        size = given_size
        reason = "the size of the source"
    sized: Any = source
    if size != given_size:
        sized = replace(sized, size=size)
    halvings = choose_halvings(size)
    few = num_samples < FEW_SAMPLES
    base = folder()
    config = replace(
        base,
        name="audit",
        seed=settings.seed,
        source=sized,
        probe=_probe(base.probe, num_samples, halvings, network=settings.network),
        detect=DetectConfig(_detectors(halvings, few=few, quick=settings.quick)),
        decide=_decision(base.decide, quick=settings.quick),
        canaries=CanaryConfig(sizes=settings.power),
        backdoored=None,
        defenses=(),
    )
    names = ", ".join(detector.name for detector in config.detect.detectors)
    choices = {"size": f"{size} pixels a side ({reason})", "detectors": names}
    if few and not settings.quick:
        choices["training"] = (
            f"in more folds and on noisy views, since there are fewer than {FEW_SAMPLES:,} images"
        )
    if settings.network is not None:
        choices["probe"] = f"{_described(settings.network)} (as asked for)"
    if not settings.power:
        choices["power"] = "not measured"
    if settings.weights is not None:
        config, choices["weights"] = _with_weights(config, settings)
    return AuditPlan(config, choices)


def with_defense(audited: Recipe, method: str) -> Recipe:
    """Returns the recipe of an audit with a defense that trains on its split.

    Args:
        audited: The recipe of the audit.
        method: "d_st" trains a model from scratch; "d_br" trains one on everything first, which may
            have the backdoor, and repairs it. A hyphen does as well.

    Raises:
        InputError: For another method.
    """
    base = folder()
    defense: Any = look_up(
        {unit.name: unit for unit in base.defenses}, "method", method.replace("-", "_")
    )
    network = audited.probe.model
    if not defense.repairs:
        return replace(audited, defenses=(replace(defense, model=network),))
    backdoored = base.backdoored
    assert backdoored is not None  # the recipe for own images has all defenses
    return replace(audited, defenses=(defense,), backdoored=replace(backdoored, model=network))


def divide_overrides(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the overrides of an audit, and those of the defense that trains on its split."""
    of_audit = {}
    of_defense = {}
    for path, value in overrides.items():
        if path.split(".")[0] in (*DEFENSES, *_OF_DEFENSES):
            of_defense[path] = value
        else:
            of_audit[path] = value
    return of_audit, of_defense


def choose_size(side: int) -> int:
    """Returns the smallest of `SIZES` that is no smaller than a side, or the largest of them."""
    for size in SIZES:
        if side <= size:
            return size
    return SIZES[-1]


def choose_halvings(size: int) -> int:
    """Returns how often the stem of the networks halves images of a size."""
    return _HALVINGS[choose_size(size)]


def _detectors(halvings: int, *, few: bool, quick: bool) -> tuple[Detector, ...]:
    network: Any = SmallResNetCoordinates()
    if halvings > 1:
        network = SmallResNetDeepStem(num_halvings=halvings, coordinates=True)
    mirror = Mirror()
    grow = Grow()
    training = replace(mirror.training, model=network)
    growing = replace(grow.training, model=network)
    if few:
        training = replace(training, folds=4, noise=_NOISE)
        growing = replace(growing, noise=_NOISE)
    if quick:
        training = replace(training, folds=2, steps=160)
        growing = replace(growing, folds=2, steps=160)
    mirror = replace(mirror, training=training)
    grow = replace(grow, training=growing)
    if quick:
        return (FixedPattern(), HandedPattern(), mirror, grow)
    return (FixedPattern(), HandedPattern(), mirror, FctDraws(), grow)


def _decision(decide: Any, *, quick: bool) -> Any:
    if quick:
        return replace(decide, one_sided=(), trusted_by=("mirror",))
    return decide


def _probe(
    probe: ProbeConfig, num_samples: int, halvings: int, network: Model | None
) -> ProbeConfig:
    if network is None:
        network = SmallResNet()
        if halvings > 1:
            network = SmallResNetDeepStem(num_halvings=halvings)
    epochs = min(_MOST_EPOCHS, max(4, ceil(_LABEL_SAMPLES / max(1, num_samples))))
    return replace(probe, model=network, epochs=epochs)


def _with_weights(config: Recipe, settings: AuditSettings) -> tuple[Recipe, str]:
    """Returns the recipe with a probe that starts from a file, and what of the file fits."""
    from ray_defense.models.seeded import build_model
    from ray_defense.stages.model_file import hash_of_model, read_model_bytes, tensors_of
    from ray_defense.stages.pretrained import PretrainedWeights, fitting_tensors

    path = str(Path(settings.weights or "").expanduser().absolute())
    if settings.quick:
        raise InputError(
            "a quick audit trains no probe, so there is nothing that could start from weights: "
            "leave --weights or --quick out"
        )
    content = read_model_bytes(path)
    model = build_model(config.probe.model, config.source.info().num_classes, seed=0)
    sentence = fitting_tensors(tensors_of(content, path), model, path).sentence()
    weights = PretrainedWeights(path, hash_of_model(content))
    return replace(config, pretrained=weights), f"of {path}: {sentence}"


def _check_network(settings: AuditSettings) -> None:
    """Raises InputError before the work for a network that FCT would refuse after it."""
    network = settings.network
    if network is None:
        return
    if settings.quick:
        raise InputError(
            f"a quick audit trains no probe, so the network {_described(network)} has no use: "
            "leave --model or --quick out"
        )
    from ray_defense.models.residual_blocks import residual_blocks
    from ray_defense.models.seeded import build_model

    needed = FctDraws().num_earlier_blocks + 1
    num_blocks = len(residual_blocks(build_model(network, 2, seed=0)))
    if num_blocks < needed:
        raise InputError(
            f"the network {_described(network)} has {num_blocks} residual blocks, and FCT reads "
            f"the last {needed}: choose a ResNet, such as torchvision:resnet50"
        )


def _described(network: Model) -> str:
    architecture = getattr(network, "architecture", None)
    return network.name if architecture is None else f"{network.name}:{architecture}"
