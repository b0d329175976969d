"""Turns: a sparse pattern keeps what stands out of the noise, and so a small trigger among few."""

import numpy as np
import pytest
import torch

from ray_defense.detectors.pattern_turns import (
    Candidates,
    Halves,
    Reference,
    agreed,
    follow,
    only_outstanding,
    scores_of,
    turn_hard,
    units,
)
from ray_defense.detectors.two_groups import fit_two_groups

NUM_IMAGES, NUM_VALUES = 80, 10_000
HAS_PATTERN = np.arange(NUM_IMAGES) % 5 < 2  # 32 images, as many in either half
PATTERN = slice(100, 130)


def draw_contrasts(strength: float) -> torch.Tensor:
    """Returns noise; some images have a small pattern in it."""
    contrasts_MD = np.random.default_rng(0).normal(size=(NUM_IMAGES, NUM_VALUES))
    contrasts_MD[HAS_PATTERN, PATTERN] += strength
    return torch.from_numpy(contrasts_MD).float()


def halves_of(contrasts_MD: torch.Tensor) -> Halves:
    return contrasts_MD[0::2], contrasts_MD[1::2]


def reference(units_SD: torch.Tensor, _: torch.Tensor) -> np.ndarray:
    return scores_of(draw_contrasts(0), units_SD)


def reference_of(contrasts_MD: torch.Tensor) -> Reference:
    return lambda units_SD, _: scores_of(contrasts_MD, units_SD)


def test_only_what_stands_out_in_its_row_is_kept():
    difference_SD = torch.from_numpy(np.random.default_rng(1).standard_t(2, (2, 50))).float()
    expected_SD = torch.zeros_like(difference_SD)
    for row in range(2):
        deviation = 1.4826 * sorted(abs(difference_SD[row]).tolist())[24]  # torch's median of 50
        for column in range(50):
            if abs(difference_SD[row, column]) > 4 * deviation:
                expected_SD[row, column] = difference_SD[row, column]
    kept_SD = only_outstanding(difference_SD)
    assert torch.equal(kept_SD, expected_SD)
    assert 0 < int((kept_SD != 0).sum()) < 20


@pytest.mark.parametrize("sparse", [False, True])
def test_the_halves_agree_on_a_small_pattern_of_few_images_if_it_is_sparse(sparse: bool):
    contrasts_MD = draw_contrasts(3.0)
    start_1D = contrasts_MD[HAS_PATTERN].mean(0)[None]
    candidates = Candidates.of(start_1D, sparse=sparse)
    (pattern,) = agreed(halves_of(contrasts_MD), reference, candidates)
    assert (pattern.agreement > 0.9) == sparse
    assert (pattern.agreement < 0.35) == (not sparse)
    assert pattern.sparse == sparse


def test_a_sparse_start_turns_to_the_pattern():
    contrasts_MD = draw_contrasts(3.0)
    start_SD = units(contrasts_MD[HAS_PATTERN][:1])
    (turned_D,) = turn_hard(contrasts_MD, start_SD, 0.1, sparse=True)
    assert float(turned_D[PATTERN].norm()) > 0.9


def test_noise_alone_has_no_sparse_pattern():
    contrasts_MD = draw_contrasts(0)
    candidates = Candidates.of(contrasts_MD[:8].mean(0)[None], sparse=True)
    (pattern,) = agreed(halves_of(contrasts_MD), reference, candidates)
    assert pattern.merit < 0.1


def follow_by_loops(contrasts_MD: np.ndarray, start_D: np.ndarray, sparse: bool) -> np.ndarray:
    """Returns where one start leads to, image by image."""
    unit_D = start_D / np.linalg.norm(start_D)
    for _ in range(8):
        scores_M = np.array([contrast_D @ unit_D for contrast_D in contrasts_MD])
        groups = fit_two_groups(scores_M)
        if groups is None:
            weights_M = (scores_M > np.quantile(scores_M, 0.95)).astype(float)
        else:
            weights_M = groups.posteriors_M
        above_D, below_D = np.zeros_like(unit_D), np.zeros_like(unit_D)
        for weight, contrast_D in zip(weights_M, contrasts_MD, strict=True):
            above_D += weight * contrast_D / weights_M.sum()
            below_D += (1 - weight) * contrast_D / (1 - weights_M).sum()
        before_D, unit_D = unit_D, above_D - below_D
        if sparse:
            kept_1D = only_outstanding(torch.from_numpy(unit_D)[None])
            unit_D = kept_1D[0].numpy()
        if not unit_D.any():
            return unit_D
        unit_D = unit_D / np.linalg.norm(unit_D)
        if unit_D @ before_D > 0.9999:
            break
    return unit_D


def test_starts_that_are_followed_together_lead_where_each_leads_alone():
    contrasts_MD = draw_contrasts(3.0)[:, :400]
    starts_SD = torch.cat((contrasts_MD[HAS_PATTERN][:2], contrasts_MD[~HAS_PATTERN][:2]))
    for_both_ways = [Candidates.of(starts_SD, sparse=sparse) for sparse in (False, True)]
    candidates = Candidates.joined(for_both_ways)
    followed_SD = follow(contrasts_MD, candidates)
    for number, followed_D in enumerate(followed_SD):
        start_D = starts_SD[number % 4].double().numpy()
        expected_D = follow_by_loops(contrasts_MD.double().numpy(), start_D, number >= 4)
        assert np.allclose(followed_D.numpy(), expected_D, atol=1e-3)
    assert followed_SD.any(1).any()


def test_a_sparse_turn_in_which_nothing_stands_out_ends():
    # Values of two sizes only: no value is four deviations from the others.
    contrasts_MD = torch.from_numpy(np.random.default_rng(2).choice([-1.0, 1.0], (40, 12))).float()
    candidates = Candidates.of(contrasts_MD[:3], sparse=True)
    assert not follow(contrasts_MD, candidates).any()
    patterns = agreed(halves_of(contrasts_MD), reference_of(contrasts_MD), candidates)
    assert [pattern.merit for pattern in patterns] == [0, 0, 0]
