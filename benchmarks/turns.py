"""Two sides of a comparison that take turns in one process, and the ratio of their seconds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Turns:
    """The seconds of both sides, pair by pair."""

    stage_s: tuple[float, ...]
    bare_s: tuple[float, ...]


def take_turns(stage: Callable[[], float], bare: Callable[[], float], num_repeats: int) -> Turns:
    """Returns the seconds that both sides say they took, one after the other, again and again.

    Whichever side was first in one pair is second in the next. The first pair warms up and does not
    count.

    Args:
        stage: Runs the whole stage and returns its seconds.
        bare: Runs what the stage cannot do without, and returns its seconds.
        num_repeats: How many pairs count, at least one.
    """
    stage_s = []
    bare_s = []
    for number in range(num_repeats + 1):
        if number % 2:
            stage_s.append(stage())
            bare_s.append(bare())
        else:
            bare_s.append(bare())
            stage_s.append(stage())
    return Turns(tuple(stage_s[1:]), tuple(bare_s[1:]))


def compare_pairs(
    num_images: int, stage_s: Sequence[float], bare_s: Sequence[float]
) -> dict[str, Any]:
    """Returns throughputs, and the ratio of the sides pair by pair.

    Args:
        num_images: How many images both sides work through each time.
        stage_s: Seconds of the stage.
        bare_s: Seconds of the bare loop, in the same order.
    """
    ratios = []
    for of_stage, of_bare in zip(stage_s, bare_s, strict=True):
        ratios.append(of_bare / of_stage)
    return {
        "num_images": num_images,
        "num_repeats": len(ratios),
        "stage_images_per_s": round(num_images / median(stage_s), 1),
        "bare_images_per_s": round(num_images / median(bare_s), 1),
        "ratio_median": round(median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
    }
