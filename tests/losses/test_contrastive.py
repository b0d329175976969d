"""SS-CTL against Eq. (2) and (9), written as loops in float64."""

import itertools
import math

import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.losses.contrastive import semi_supervised_contrastive
from tests.support.random_rows import dot, random_rows, random_unit_rows


def contrastive_loops(z, labels, trusted, *, temperature, positives):
    z = z.tolist()
    labels = labels.tolist()
    trusted = trusted.tolist()
    views = []
    for sample in range(len(z)):
        for view in range(len(z[0])):
            views.append((sample, view))

    def similarity(a, b):
        return math.exp(dot(z[a[0]][a[1]], z[b[0]][b[1]]) / temperature)

    def term(anchor, positive):
        denominator = math.fsum(similarity(anchor, view) for view in views if view != anchor)
        return -math.log(similarity(anchor, positive) / denominator)

    def attracts(anchor, view):
        if anchor == view:
            return False
        if anchor[0] == view[0]:
            return True
        if labels[anchor[0]] != labels[view[0]] or not trusted[anchor[0]]:
            return False
        return positives == "authors" or trusted[view[0]]

    losses = []
    for anchor in views:
        terms = [term(anchor, view) for view in views if attracts(anchor, view)]
        losses.append(math.fsum(terms) / len(terms))
    return math.fsum(losses) / len(losses)


CASES = {
    "mixed": ([0, 0, 1, 1, 0, 1], [1, 0, 1, 1, 1, 0]),
    "none trusted": ([0, 0, 1, 1, 0, 1], [0] * 6),
    "all trusted": ([0, 0, 1, 1, 0, 1], [1] * 6),
    "a class of one": ([0, 0, 0, 2, 0, 0], [1, 1, 0, 1, 0, 1]),
    "one sample": ([3], [1]),
}


@pytest.mark.parametrize("temperature", [0.1, 0.7])
@pytest.mark.parametrize("positives", ["paper", "authors"])
@pytest.mark.parametrize("num_views", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_contrastive_loss_equals_eq_2_as_loops(case, num_views, positives, temperature):
    labels, trusted = CASES[case]
    labels = torch.tensor(labels)
    trusted = torch.tensor(trusted, dtype=torch.bool)
    z = random_unit_rows(len(labels), num_views, 5, seed=len(case))
    options = {"temperature": temperature, "positives": positives}
    loss = semi_supervised_contrastive(z, labels, trusted, **options)
    expected = contrastive_loops(z, labels, trusted, **options)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def has_trusted_and_untrusted(labels, trusted, label):
    kinds = set()
    for i in range(len(labels)):
        if labels[i] == label:
            kinds.add(trusted[i])
    return kinds == {0, 1}


def test_the_authors_positives_differ_exactly_when_a_label_has_trusted_and_untrusted_samples():
    z = random_unit_rows(4, 2, 5, seed=1)
    for labels in itertools.product([0, 1], repeat=4):
        for trusted in itertools.product([0, 1], repeat=4):
            arguments = (z, torch.tensor(labels), torch.tensor(trusted, dtype=torch.bool))
            paper = semi_supervised_contrastive(*arguments, temperature=0.5)
            authors = semi_supervised_contrastive(*arguments, temperature=0.5, positives="authors")
            mixed_0 = has_trusted_and_untrusted(labels, trusted, 0)
            mixed_1 = has_trusted_and_untrusted(labels, trusted, 1)
            assert (abs(paper - authors).item() > 1e-9) == (mixed_0 or mixed_1)


def test_labels_of_untrusted_samples_do_not_move_the_contrastive_loss():
    z = random_unit_rows(5, 2, 4, seed=2)
    trusted = torch.tensor([True, True, False, False, True])
    losses = set()
    for a in range(3):
        for b in range(3):
            labels = torch.tensor([0, 0, a, b, 1])
            losses.add(semi_supervised_contrastive(z, labels, trusted, temperature=0.1).item())
    assert len(losses) == 1


def test_contrastive_loss_is_finite_where_plain_exponentials_overflow():
    z = random_unit_rows(6, 2, 4, seed=3).float().requires_grad_()
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    trusted = torch.ones(6, dtype=torch.bool)
    loss = semi_supervised_contrastive(z, labels, trusted, temperature=1e-3)
    loss.backward()
    assert loss.isfinite()
    assert z.grad.isfinite().all()


def test_contrastive_loss_under_autocast_equals_that_in_float32():
    z = random_unit_rows(6, 2, 8, seed=4).float()
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    trusted = torch.tensor([True, False] * 3)
    plain = semi_supervised_contrastive(z, labels, trusted, temperature=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = semi_supervised_contrastive(z, labels, trusted, temperature=0.1)
    assert torch.equal(under_autocast, plain)
    assert plain.dtype == torch.float32


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"temperature": float("nan")}, {"positives": "papers"}]
)
def test_contrastive_loss_refuses_wrong_parameters(wrong):
    z = random_rows(2, 2, 3, seed=0)
    options = {"temperature": 0.1, **wrong}
    with pytest.raises(InputError):
        semi_supervised_contrastive(z, torch.tensor([0, 1]), torch.tensor([True, True]), **options)


def test_contrastive_loss_refuses_a_single_view():
    z = random_rows(2, 1, 3, seed=0)
    with pytest.raises(InputError, match="add a view"):
        semi_supervised_contrastive(
            z, torch.tensor([0, 1]), torch.tensor([True, True]), temperature=0.1
        )


@pytest.mark.parametrize("positives", ["paper", "authors"])
def test_the_gradient_of_the_contrastive_loss_equals_finite_differences(positives):
    labels = torch.tensor([1, 2, 1, 1, 2])
    trusted = torch.tensor([True, True, False, True, False])
    z = random_unit_rows(5, 2, 4, seed=12).requires_grad_()

    def loss(z):
        return semi_supervised_contrastive(z, labels, trusted, temperature=0.5, positives=positives)

    assert torch.autograd.gradcheck(loss, z)
