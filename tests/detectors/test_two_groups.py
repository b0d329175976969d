"""Two groups of numbers: the upper one is found where there is one."""

from math import exp, log, sqrt

import numpy as np
import pytest
import torch

from ray_defense.detectors.two_groups import fit_rows, fit_two_groups


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


def fit_by_loops(values: list[float]) -> tuple[list[float], float] | None:
    """Returns the posteriors and the separation of the likeliest mixture, number by number."""
    best = None
    for quantile in (0.5, 0.9, 0.98, 0.995):
        lower_end = np.quantile(values, quantile)
        upper = [float(value > lower_end) for value in values]
        fitted = None
        for _ in range(60):
            count, rest = sum(upper), len(values) - sum(upper)
            if count < 3 or count / len(values) > 0.97:
                fitted = None
                break
            above = sum(weight * value for weight, value in zip(upper, values, strict=True)) / count
            below = sum((1 - w) * value for w, value in zip(upper, values, strict=True)) / rest
            squares = [
                w * (v - above) ** 2 + (1 - w) * (v - below) ** 2
                for w, v in zip(upper, values, strict=True)
            ]
            variance = sum(squares) / len(values)
            before, upper, likelihood = upper, [], 0.0
            for value in values:
                density_above = count / len(values) * exp(-((value - above) ** 2) / (2 * variance))
                density_below = rest / len(values) * exp(-((value - below) ** 2) / (2 * variance))
                upper.append(density_above / (density_above + density_below))
                likelihood += log((density_above + density_below) / sqrt(variance))
            few = min(1.0, sqrt(sum(upper) / 10))
            fitted = (likelihood, upper, few * (above - below) / sqrt(variance))
            if max(abs(new - old) for new, old in zip(upper, before, strict=True)) < 1e-4:
                break
        if fitted is not None and sum(fitted[1]) >= 3 and (best is None or fitted[0] > best[0]):
            best = fitted
    return None if best is None else (best[1], best[2])


def test_rows_are_fitted_as_each_is_by_loops() -> None:
    rows = [
        draw(90, num_above, distance, seed=num_above)
        for num_above, distance in ((10, 6.0), (10, 2.0), (10, 0.0), (10, 12.0))
    ]
    rows.append(np.full(100, 2.0))
    rows.append(5.0 + 100 * draw(99, 1, 20.0))
    groups = fit_rows(torch.from_numpy(np.stack(rows)))
    found = groups.is_found_S.tolist()
    for number, row in enumerate(rows):
        expected = fit_by_loops(row.tolist())
        assert found[number] == (expected is not None)
        if expected is None:
            assert not groups.posteriors_SM[number].any()
            assert float(groups.separation_S[number]) == -1
        else:
            assert np.allclose(groups.posteriors_SM[number].numpy(), expected[0], atol=1e-9)
            assert float(groups.separation_S[number]) == pytest.approx(expected[1], rel=1e-9)
    assert 2 <= sum(found) < len(rows)


def test_many_rows_are_fitted_as_each_is_alone() -> None:
    rows_SM = torch.from_numpy(np.stack([draw(9000, 1000, 4.0, seed) for seed in range(6)]))
    together = fit_rows(rows_SM)
    for number, row_M in enumerate(rows_SM):
        alone = fit_two_groups(row_M.numpy())
        assert alone is not None
        posteriors_M = together.posteriors_SM[number].numpy()
        assert np.allclose(posteriors_M, alone.posteriors_M, atol=1e-10)
        assert float(together.separation_S[number]) == pytest.approx(alone.separation, rel=1e-10)
