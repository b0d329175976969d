"""How long the missing work of a plan will take, from the seconds that its parts took here."""

from collections.abc import Mapping
from dataclasses import dataclass

from ray_defense.studies.reproduction import Scale
from ray_defense.sweeps.sweep import SweepOverview

_SECONDS_AN_HOUR = 3600
_NUM_IMAGES = 50_000  # of CIFAR-10 and of CIFAR-100
_NUM_IMAGES_OF_A_ROUND = 12_500  # of D-BR: 5 % are unlearned, 20 % relearned


@dataclass(frozen=True)
class Pace:
    """Seconds of the parts of a run."""

    an_epoch: Mapping[str, float]  # of a training stage, by the start of its name
    other_epoch: float  # of any other training stage
    a_pass: float  # of scoring, over the dataset
    another_step: float  # ingest, evaluation and what else is made once
    unit: str  # of the hours
    source: str  # in words


PACES: dict[Scale, Pace] = {
    # results/recipes/cifar10_badnets_small_seed0.json and results/detection/development.
    "small": Pace(
        {
            "probe": 8.1,
            "backdoored": 8.4,
            "surrogate": 8.4,
            "d_br": 11.4,
            "d_st": 12.7,
            "simclr": 12.7,
            "supcon": 12.7,
            "dbd": 12.7,
            # On 200 clean images.
            "ft": 0.2,
            "nad": 0.3,
            "mcr": 0.3,
            "anp": 8,
            "mirror": 19,
            "grow": 16,
        },
        other_epoch=8.4,
        a_pass=13,
        another_step=20,
        unit="hours on one machine",
        source="measured on two shared CPU cores",
    ),
    # results/gpu/bounds.json; what it does not have counts as the training of the probe.
    "paper": Pace(
        {
            "probe": _NUM_IMAGES / 11_462,
            "backdoored": _NUM_IMAGES / 14_152,
            "surrogate": _NUM_IMAGES / 14_152,
            "d_br": _NUM_IMAGES_OF_A_ROUND / 6_117,
            "d_st": 2 * _NUM_IMAGES / 48_100,
            "simclr": 2 * _NUM_IMAGES / 48_100,
            "supcon": 2 * _NUM_IMAGES / 48_100,
            # 1,000 epochs of SimCLR, 10 of a classifier, 190 of 1,024 steps of 3 x 64 views.
            "dbd": (
                1000 * 2 * _NUM_IMAGES / 48_100
                + 10 * _NUM_IMAGES / 11_462
                + 190 * 1024 * 3 * 64 / 11_462
            )
            / 1200,
            # On the clean share, 1 %.
            "ft": _NUM_IMAGES / 100 / 11_462,
            "nad": _NUM_IMAGES / 100 / 11_462,
            "mcr": _NUM_IMAGES / 100 / 11_462,
            # 100 steps of 128 images, each with three passes.
            "anp": 3 * 100 * 128 / 11_462,
        },
        other_epoch=_NUM_IMAGES / 11_462,
        a_pass=_NUM_IMAGES / 38_816,
        another_step=20,
        unit="GPU hours",
        source=(
            "measured on one NVIDIA H200 with ResNet-18 on 50,000 images of 32 x 32, "
            "results/gpu/bounds.json; without max-pool, as for D-ST, a network takes up to four "
            "times as long, and what trains small networks takes less"
        ),
    ),
}


@dataclass(frozen=True)
class PlannedHours:
    """The hours of the missing work, one step after the other."""

    by_stage: Mapping[str, float]
    unit: str
    source: str

    @property
    def total(self) -> float:
        return sum(self.by_stage.values())


def plan_hours(
    overview: SweepOverview, scale: Scale, *, larger_images: bool = False
) -> PlannedHours:
    """Returns the hours that the missing work of a plan takes on one machine.

    Args:
        overview: What a sweep would make; what the store holds costs nothing.
        scale: Of its recipes.
        larger_images: Whether the images are larger than the measured ones.
    """
    pace = PACES[scale]
    seconds: dict[str, float] = {}
    for stage, count in overview.num_to_make.items():
        if count and stage not in overview.num_epochs:
            seconds[stage] = count * pace.another_step
    for stage, num_epochs in overview.num_epochs.items():
        seconds[stage] = num_epochs * _epoch_seconds(pace, stage)
    num_passes = overview.num_clean_passes + overview.num_transformed_passes
    if num_passes:
        seconds["scoring"] = num_passes * pace.a_pass
    hours = {stage: value / _SECONDS_AN_HOUR for stage, value in seconds.items()}
    source = pace.source
    if larger_images:
        source = f"a lower bound, since these images are larger; {source}"
    return PlannedHours(hours, pace.unit, source)


def _epoch_seconds(pace: Pace, stage: str) -> float:
    for name, seconds in pace.an_epoch.items():
        if stage.startswith(name):
            return seconds
    return pace.other_epoch
