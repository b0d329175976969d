"""Learning rates are their formulas."""

import math

import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.training.schedules import set_rate, step_decay, warmup_cosine


def supcon_rate(position: float, warmup_epochs: int = 10) -> float:
    return warmup_cosine(
        0.5,
        position,
        epochs=200,
        warmup_epochs=warmup_epochs,
        warmup_rate=0.01,
        final_fraction=1e-3,
    )


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.01), (99, 0.01), (100, 1e-3), (149, 1e-3), (150, 1e-4), (199, 1e-4)],
)
def test_the_rate_falls_to_a_tenth_at_each_milestone(epoch, rate):
    assert step_decay(0.01, epoch, (100, 150)) == pytest.approx(rate)


def test_the_rate_is_constant_without_milestones():
    assert step_decay(0.3, 7, ()) == 0.3


@pytest.mark.parametrize("position", [10, 10.5, 57.25, 100, 199.99, 200])
def test_after_the_warm_up_the_rate_is_the_cosine(position):
    expected = 5e-4 + (0.5 - 5e-4) * (1 + math.cos(math.pi * position / 200)) / 2
    assert supcon_rate(position) == pytest.approx(expected, rel=1e-12)


def test_the_warm_up_is_a_line_from_its_rate_to_the_cosine():
    assert supcon_rate(0) == 0.01
    middle = (supcon_rate(0) + supcon_rate(10)) / 2
    assert supcon_rate(5) == pytest.approx(middle, rel=1e-12)
    assert supcon_rate(10 - 1e-9) == pytest.approx(supcon_rate(10), rel=1e-6)
    assert supcon_rate(200) == pytest.approx(0.5 * 1e-3)
    assert supcon_rate(0, warmup_epochs=0) == 0.5


def test_a_rate_is_set_in_every_group_and_a_negative_or_undefined_rate_is_refused():
    groups = []
    for _ in range(2):
        groups.append({"params": [torch.nn.Parameter(torch.zeros(1))]})
    optimizer = torch.optim.SGD(groups, lr=1.0)
    set_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
    for rate in (-1e-9, math.nan):
        with pytest.raises(InputError, match="must not be negative"):
            set_rate(optimizer, rate)
