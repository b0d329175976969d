"""How long the missing work of a plan will take, from the seconds that its parts took here."""

from collections.abc import Mapping
from dataclasses import dataclass

from ray_defense.studies.reproduction import Scale
from ray_defense.sweeps.sweep import SweepOverview

_SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Pace:
    """Seconds of the parts of a run."""

    an_epoch: Mapping[str, float]  # of a training stage, by the start of its name
    other_epoch: float  # of any other training stage
    a_pass: float  # of scoring, over the dataset
    another_step: float  # ingest, evaluation and what else is made once
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
        source="measured on two shared CPU cores",
    ),
    # 391 steps of 128 images. docs/scaling.md says why 10 ms, and what an H200 took.
    "paper": Pace(
        {},
        other_epoch=3.9,
        a_pass=3.9,
        another_step=20,
        source="an assumption of 10 ms a step of one GPU; an H200 took 9 to 11",
    ),
}


@dataclass(frozen=True)
class PlannedHours:
    """The hours of the missing work, one step after the other."""

    by_stage: Mapping[str, float]
    source: str

    @property
    def total(self) -> float:
        return sum(self.by_stage.values())


def plan_hours(overview: SweepOverview, scale: Scale) -> PlannedHours:
    """Returns the hours that the missing work of a plan takes on one machine.

    Args:
        overview: What a sweep would make; what the store holds costs nothing.
        scale: Of its recipes.
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
    return PlannedHours(hours, pace.source)


def _epoch_seconds(pace: Pace, stage: str) -> float:
    for name, seconds in pace.an_epoch.items():
        if stage.startswith(name):
            return seconds
    return pace.other_epoch
