"""The page of a leaderboard: a row for each model of each run, with the command that repeats it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ray_defense.reports.page_script import page_script
from ray_defense.reports.page_template import load_template


@dataclass(frozen=True)
class LeaderboardRow:
    """One model of one run; rates are fractions in [0, 1], None where they were not measured."""

    attack: str
    model: str  # by name; "" where only scores were measured
    recipe: str
    changes: str
    seed: int
    acc: float | None
    asr: float | None
    robust_acc: float | None  # of triggered images, on their true labels
    auroc: float | None
    weak_attack: bool
    machine: str
    version: str
    command: str


def render_leaderboard(rows: Sequence[LeaderboardRow], num_cells: int) -> str:
    """Returns the page, which loads nothing; the same rows give the same text.

    Args:
        rows: In the order in which they are shown first.
        num_cells: How many runs they are of.
    """
    script, script_hash = page_script()
    return load_template("leaderboard.html.j2").render(
        rows=rows, num_cells=num_cells, script=script, script_hash=script_hash
    )
