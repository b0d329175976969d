"""Two groups of numbers: the upper one is found where there is one."""

import numpy as np
import pytest

from ray_defense.scores.two_groups import fit_two_groups


def draw(num_below: int, num_above: int, distance: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    below = generator.normal(size=num_below)
    above = distance + generator.normal(size=num_above)
    return np.concatenate([below, above])


@pytest.mark.parametrize("num_above", [20, 200, 900])
def test_an_upper_group_of_any_size_is_found_with_its_members(num_above: int) -> None:
    groups = fit_two_groups(draw(1000, num_above, distance=8.0))
    assert groups is not None
    in_upper = groups.posteriors_M > 0.5
    assert in_upper[1000:].all()
    assert not in_upper[:1000].any()
    assert groups.count == pytest.approx(num_above, rel=0.01)
    assert groups.separation == pytest.approx(8.0, rel=0.25)


def test_one_group_has_no_separation_as_two_have() -> None:
    one = fit_two_groups(draw(2000, 0, distance=0.0))
    two = fit_two_groups(draw(1800, 200, distance=6.0))
    assert two is not None
    assert one is None or one.separation < 0.6 * two.separation


def test_a_group_of_two_is_no_group() -> None:
    values = draw(1000, 2, distance=50.0)
    groups = fit_two_groups(values)
    assert groups is None or groups.count > 2.5


def test_the_unit_of_the_numbers_changes_nothing() -> None:
    values = draw(500, 60, distance=7.0)
    groups = fit_two_groups(values)
    scaled = fit_two_groups(1000 * values - 5)
    assert groups is not None and scaled is not None
    assert np.allclose(groups.posteriors_M, scaled.posteriors_M, atol=1e-6)
    assert scaled.separation == pytest.approx(groups.separation, rel=1e-6)


def test_equal_numbers_have_no_groups() -> None:
    assert fit_two_groups(np.full(100, 3.0)) is None
