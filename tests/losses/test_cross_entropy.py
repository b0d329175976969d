"""Cross-entropies against Eq. (3) to (5), written as loops in float64."""

import itertools
import math

import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.losses.cross_entropy import (
    cross_entropy,
    cross_entropy_to_uniform,
    mixed_cross_entropy,
    unlearning,
)
from tests.support.random_rows import random_rows


def log_probability(logits, label):
    return logits[label] - math.log(math.fsum(math.exp(logit) for logit in logits))


def mixed_loops(logits, labels, trusted, flagged, *, weight, num_trusted=None, num_flagged=None):
    trusted_terms = []
    flagged_terms = []
    for i, row in enumerate(logits.tolist()):
        value = log_probability(row, int(labels[i]))
        if trusted[i]:
            trusted_terms.append(value)
        if flagged[i]:
            flagged_terms.append(value)
    num_drawn = len(trusted_terms) + len(flagged_terms)
    if num_drawn == 0:
        return 0.0
    scale = 1.0
    if num_trusted is None:
        num_trusted = len(trusted_terms)
        num_flagged = len(flagged_terms)
    else:
        scale = (num_trusted + num_flagged) / num_drawn
    attract = 0.0
    if num_trusted:
        attract = -math.fsum(trusted_terms) / num_trusted
    repel = 0.0
    if num_flagged:
        repel = math.fsum(flagged_terms) / num_flagged
    return scale * (attract + weight * repel)


# Each letter is a sample: trusted, flagged or neither.
@pytest.mark.parametrize("sizes", [{}, {"num_trusted": 20, "num_flagged": 7}])
@pytest.mark.parametrize("members", ["ttppnn", "tttttt", "pppppp", "nnnnnn", "tnnnnn", "nnnnnp"])
def test_mixed_cross_entropy_equals_eq_3_as_loops(members, sizes):
    logits = random_rows(6, 4, seed=8).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    trusted = torch.tensor([member == "t" for member in members])
    flagged = torch.tensor([member == "f" for member in members])
    loss = mixed_cross_entropy(logits, labels, trusted, flagged, flagged_weight=0.3, **sizes)
    expected = mixed_loops(logits, labels, trusted, flagged, weight=0.3, **sizes)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    assert logits.grad.isfinite().all()


def test_mixed_cross_entropy_of_all_batches_of_the_union_averages_to_the_means_over_the_sets():
    logits = random_rows(6, 4, seed=9)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    trusted = torch.tensor([1, 1, 1, 1, 0, 0]).bool()
    flagged = ~trusted
    losses = []
    for chosen in itertools.combinations(range(6), 2):
        batch = list(chosen)
        loss = mixed_cross_entropy(
            logits[batch],
            labels[batch],
            trusted[batch],
            flagged[batch],
            flagged_weight=0.5,
            num_trusted=4,
            num_flagged=2,
        )
        losses.append(loss)
    over_sets = mixed_cross_entropy(logits, labels, trusted, flagged, flagged_weight=0.5)
    assert torch.stack(losses).mean().item() == pytest.approx(over_sets.item(), rel=1e-12)


def test_mixed_cross_entropy_under_autocast_equals_that_in_float32():
    logits = random_rows(6, 8, seed=5).float()
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    trusted = torch.tensor([True, False] * 3)
    plain = mixed_cross_entropy(logits, labels, trusted, ~trusted, flagged_weight=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = mixed_cross_entropy(logits, labels, trusted, ~trusted, flagged_weight=0.1)
    assert torch.equal(under_autocast, plain)
    assert plain.dtype == torch.float32


@pytest.mark.parametrize(
    "sizes", [{"num_trusted": 3}, {"num_flagged": 3}, {"num_trusted": -1, "num_flagged": 2}]
)
def test_mixed_cross_entropy_refuses_one_set_size_or_a_negative_one(sizes):
    logits = random_rows(1, 2, seed=0)
    trusted = torch.tensor([True])
    with pytest.raises(InputError, match="both set sizes"):
        mixed_cross_entropy(
            logits, torch.tensor([0]), trusted, ~trusted, flagged_weight=1.0, **sizes
        )


def test_cross_entropy_is_the_mean_negative_log_probability_and_unlearning_its_negative():
    logits = random_rows(5, 3, seed=10)
    labels = torch.tensor([0, 2, 1, 1, 0])
    everyone = torch.ones(5, dtype=torch.bool)
    expected = mixed_loops(logits, labels, everyone, ~everyone, weight=0.0)
    assert cross_entropy(logits, labels).item() == pytest.approx(expected, rel=1e-12)
    assert unlearning(logits, labels).item() == pytest.approx(-expected, rel=1e-12)


def test_cross_entropy_to_uniform_is_the_mean_over_samples_and_classes():
    logits = random_rows(5, 4, seed=11)
    labels = torch.tensor([0, 2, 1, 1, 0])
    total = 0.0
    for row in logits.tolist():
        normalizer = math.log(sum(math.exp(value) for value in row))
        total += sum(normalizer - value for value in row) / len(row)
    expected = total / len(logits)
    assert cross_entropy_to_uniform(logits, labels).item() == pytest.approx(expected)
    even = torch.zeros(3, 4)
    assert cross_entropy_to_uniform(even, labels[:3]).item() == pytest.approx(math.log(4))
    assert expected > math.log(4)


def test_the_gradients_of_all_cross_entropies_equal_finite_differences():
    labels = torch.tensor([1, 2, 1, 1, 2])
    trusted = torch.tensor([True, True, False, True, False])
    logits = random_rows(5, 3, seed=13).requires_grad_()

    def mixed(x):
        return mixed_cross_entropy(x, labels, trusted, ~trusted, flagged_weight=0.2)

    def mixed_of_sets(x):
        return mixed_cross_entropy(
            x,
            labels,
            trusted,
            ~trusted,
            flagged_weight=0.2,
            num_trusted=9,
            num_flagged=4,
        )

    assert torch.autograd.gradcheck(mixed, logits)
    assert torch.autograd.gradcheck(mixed_of_sets, logits)
    assert torch.autograd.gradcheck(lambda x: unlearning(x, labels), logits)
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, labels), logits)
