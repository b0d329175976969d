"""Turns: a sparse pattern keeps what stands out of the noise, and so a small trigger among few."""

import numpy as np
import pytest
import torch

from ray_defense.detectors.pattern_turns import (
    Candidate,
    Halves,
    agreed,
    only_outstanding,
    scores_of,
    turn_hard,
    units,
)

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


def reference(unit_D: torch.Tensor, _: torch.Tensor) -> np.ndarray:
    return scores_of(draw_contrasts(0), unit_D)


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
    start_D = units(contrasts_MD[HAS_PATTERN].mean(0)[None])[0]
    pattern = agreed(halves_of(contrasts_MD), reference, Candidate(start_D, sparse))
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
    start_D = units(contrasts_MD[:8].mean(0)[None])[0]
    pattern = agreed(halves_of(contrasts_MD), reference, Candidate(start_D, sparse=True))
    assert pattern.merit < 0.1
