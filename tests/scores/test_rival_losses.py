"""The scores made of logits (DBD, ABL, RNP) against their formulas, written as loops."""

import math

import numpy as np
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.scores.local_gradient_ascent import local_gradient_ascent_loss, minus_loss
from ray_defense.scores.log_softmax import log_softmax
from ray_defense.scores.symmetric_cross_entropy import symmetric_cross_entropy
from ray_defense.scores.unlearning_margin import unlearning_margin

SCORES = (minus_loss, symmetric_cross_entropy, unlearning_margin)


def random_logits(num_samples=37, num_classes=5, seed=0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=4, size=(num_samples, num_classes)).astype(np.float32)
    labels = generator.integers(0, num_classes, num_samples)
    return logits, labels


def probabilities_loop(row):
    exponentials = [math.exp(value - max(row)) for value in row]
    return [value / math.fsum(exponentials) for value in exponentials]


def test_symmetric_cross_entropy_is_its_formula_with_log_0_as_minus_4():
    logits, labels = random_logits()
    expected = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        probabilities = probabilities_loop(row)
        reverse = 0.0
        for k, probability in enumerate(probabilities):
            reverse -= probability * (0 if k == label else -4)
        expected.append(0.1 * -math.log(probabilities[label]) + reverse)
    assert symmetric_cross_entropy(logits, labels).tolist() == pytest.approx(expected, rel=1e-9)


def test_minus_loss_is_the_log_probability_of_the_label():
    logits, labels = random_logits()
    expected = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        expected.append(math.log(probabilities_loop(row)[label]))
    assert minus_loss(logits, labels).tolist() == pytest.approx(expected, rel=1e-9)


def test_the_margin_is_the_logit_of_the_label_less_the_best_other():
    logits, labels = random_logits()
    expected = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        others = row[:label] + row[label + 1 :]
        expected.append(row[label] - max(others))
    assert unlearning_margin(logits, labels).tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("score", SCORES)
def test_a_score_of_logits_is_finite_for_sure_and_for_hopeless_predictions(score):
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [0.0, 0.0, 0.0]])
    assert np.isfinite(score(logits, np.array([0, 0, 2]))).all()


@pytest.mark.parametrize("score", SCORES)
def test_a_score_of_logits_has_the_same_bits_in_any_batch_and_layout(score):
    logits, labels = random_logits(num_samples=33)
    whole = score(logits, labels)
    assert whole.dtype == np.float64
    transposed = score(np.asfortranarray(logits.astype(np.float64)), labels)
    assert transposed.tobytes() == whole.tobytes()
    for size in (1, 2, 7, 32):
        parts = []
        for start in range(0, 33, size):
            batch = slice(start, start + size)
            parts.append(score(logits[batch], labels[batch]))
        assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("label", [-1, 5])
def test_a_label_that_is_no_class_is_refused(label):
    with pytest.raises(InputError, match="labels must lie in"):
        log_softmax(np.zeros((2, 5)), np.array([0, label]))


def test_a_margin_needs_two_classes():
    with pytest.raises(InputError, match="two classes"):
        unlearning_margin(np.zeros((2, 1)), np.zeros(2, int))


@pytest.mark.parametrize("gamma", [0.5, 1.3])
def test_local_gradient_ascent_raises_small_losses_and_lowers_large_ones(gamma):
    logits, labels = random_logits()
    leaf = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    loss = local_gradient_ascent_loss(leaf, torch.tensor(labels), gamma)
    losses = (-minus_loss(logits, labels)).tolist()
    assert min(losses) < gamma < max(losses)
    terms = [math.copysign(value, value - gamma) for value in losses]
    assert loss.item() == pytest.approx(math.fsum(terms) / len(terms), rel=1e-9)
    loss.backward()
    for row, (value, label) in enumerate(zip(losses, labels.tolist(), strict=True)):
        # Descent along the gradient raises the logit of the label where the loss is large.
        assert (leaf.grad[row, label] < 0) == (value > gamma)


def test_flooding_turns_the_gradient_below_the_level():
    logits, labels = random_logits()
    leaf = torch.tensor(logits, dtype=torch.float64)
    mean = -minus_loss(logits, labels).mean()
    for gamma in (0.1, 100.0):
        loss = local_gradient_ascent_loss(leaf, torch.tensor(labels), gamma, "flooding")
        assert loss.item() == pytest.approx(abs(mean - gamma) + gamma, rel=1e-9)


def test_an_unknown_variant_is_refused():
    with pytest.raises(InputError, match="flooding"):
        local_gradient_ascent_loss(torch.zeros(1, 2), torch.zeros(1, dtype=int), 0.5, "flood")
