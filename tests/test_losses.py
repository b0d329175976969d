"""Losses against the paper's formulas, written as loops in float64."""

import itertools
import math
import random

import pytest
import torch

from ray_defense.core.errors import Refused
from ray_defense.losses import class_center_similarity, mixed_cross_entropy, relearning, semi_supervised_contrastive, unlearning


def rows(*shape, seed, unit=False):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(values, dim=-1) if unit else values


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def contrastive_loops(z, labels, trusted, temperature, positives):
    z, labels, trusted = z.tolist(), labels.tolist(), trusted.tolist()
    views = [(sample, view) for sample in range(len(z)) for view in range(len(z[0]))]

    def term(a, p):
        others = [math.exp(dot(z[a[0]][a[1]], z[b[0]][b[1]]) / temperature) for b in views if b != a]
        return -math.log(math.exp(dot(z[a[0]][a[1]], z[p[0]][p[1]]) / temperature) / math.fsum(others))

    def attracts(a, p):
        if a == p:
            return False
        if a[0] == p[0]:
            return True
        same = labels[a[0]] == labels[p[0]] and trusted[a[0]]
        return same and (positives == "authors" or trusted[p[0]])

    losses = []
    for a in views:
        terms = [term(a, p) for p in views if attracts(a, p)]
        losses.append(math.fsum(terms) / len(terms))
    return math.fsum(losses) / len(losses)


CASES = {
    "mixed": ([0, 0, 1, 1, 0, 1], [1, 0, 1, 1, 1, 0]),
    "none trusted": ([0, 0, 1, 1, 0, 1], [0] * 6),
    "all trusted": ([0, 0, 1, 1, 0, 1], [1] * 6),
    "a class of one": ([0, 0, 0, 2, 0, 0], [1, 1, 0, 1, 0, 1]),
    "one sample": ([3], [1]),
}


@pytest.mark.parametrize("positives", ["paper", "authors"])
@pytest.mark.parametrize("num_views", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_contrastive_loss_equals_eq_2_as_loops(case, num_views, positives):
    labels, trusted = torch.tensor(CASES[case][0]), torch.tensor(CASES[case][1], dtype=torch.bool)
    z = rows(len(labels), num_views, 5, seed=len(case), unit=True)
    for temperature in (0.1, 0.7):
        loss = semi_supervised_contrastive(z, labels, trusted, temperature=temperature, positives=positives)
        expected = contrastive_loops(z, labels, trusted, temperature, positives)
        assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_the_authors_positives_differ_from_the_papers_exactly_when_a_label_has_trusted_and_untrusted_samples():
    z = rows(4, 2, 5, seed=1, unit=True)
    for labels, trusted in itertools.product(itertools.product([0, 1], repeat=4), itertools.product([0, 1], repeat=4)):
        arguments = z, torch.tensor(labels), torch.tensor(trusted, dtype=torch.bool)
        paper = semi_supervised_contrastive(*arguments, temperature=0.5)
        authors = semi_supervised_contrastive(*arguments, temperature=0.5, positives="authors")
        met = any({0, 1} <= {t for y, t in zip(labels, trusted, strict=True) if y == label} for label in (0, 1))
        assert (abs(paper - authors).item() > 1e-9) == met


def test_labels_of_untrusted_samples_do_not_move_the_contrastive_loss():
    z, trusted = rows(5, 2, 4, seed=2, unit=True), torch.tensor([True, True, False, False, True])
    losses = {
        semi_supervised_contrastive(z, torch.tensor([0, 0, a, b, 1]), trusted, temperature=0.1).item()
        for a in range(3)
        for b in range(3)
    }
    assert len(losses) == 1


def test_contrastive_loss_is_finite_where_plain_exponentials_overflow():
    z = rows(6, 2, 4, seed=3, unit=True).float().requires_grad_()
    labels, trusted = torch.tensor([0, 0, 1, 1, 2, 2]), torch.ones(6, dtype=torch.bool)
    loss = semi_supervised_contrastive(z, labels, trusted, temperature=1e-3)
    loss.backward()
    assert loss.isfinite() and z.grad.isfinite().all()


def test_losses_under_autocast_equal_those_in_float32():
    z, labels = rows(6, 2, 8, seed=4, unit=True).float(), torch.tensor([0, 0, 1, 1, 2, 2])
    trusted, features = torch.tensor([True, False] * 3), rows(6, 8, seed=5).float()

    def losses():
        return torch.stack(
            [
                semi_supervised_contrastive(z, labels, trusted, temperature=0.1),
                class_center_similarity(features, labels, 3),
                mixed_cross_entropy(features, labels, trusted, ~trusted, poisoned_weight=0.1),
            ]
        )

    plain = losses()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(losses(), plain)
    assert losses().dtype == torch.float32
    assert class_center_similarity(features.bfloat16(), labels, 3).dtype == torch.float32


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"temperature": float("nan")}, {"positives": "papers"}])
def test_contrastive_loss_refuses_wrong_parameters(wrong):
    z, labels, trusted = rows(2, 2, 3, seed=0), torch.tensor([0, 1]), torch.tensor([True, True])
    with pytest.raises(Refused):
        semi_supervised_contrastive(z, labels, trusted, **{"temperature": 0.1} | wrong)
    with pytest.raises(Refused, match="add a view"):
        semi_supervised_contrastive(z[:, :1], labels, trusted, temperature=0.1)


def center_loops(features, labels, num_classes):
    features, labels = features.tolist(), labels.tolist()
    centers = []
    for label in range(num_classes):
        members = [row for row, y in zip(features, labels, strict=True) if y == label]
        if members and any(any(row) for row in members):
            centers.append([math.fsum(column) / len(members) for column in zip(*members, strict=True)])
    total = 0.0
    for i, j in itertools.permutations(range(len(centers)), 2):
        a, b = centers[i], centers[j]
        total += dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))
    return total / num_classes**2


@pytest.mark.parametrize("labels", [[0, 1, 2, 0, 1, 2], [0, 0, 3, 3, 3, 0], [4] * 6, [0, 1, 1, 1, 1, 1]])
def test_class_center_similarity_equals_eq_8_as_loops(labels):
    features, labels = rows(6, 7, seed=6), torch.tensor(labels)
    assert class_center_similarity(features, labels, 5).item() == pytest.approx(
        center_loops(features, labels, 5), rel=1e-12, abs=1e-15
    )


def test_a_zero_center_adds_nothing_and_gets_no_gradient():
    features, labels = rows(6, 4, seed=7), torch.tensor([0, 0, 1, 1, 2, 2])
    features[2:4] = 0
    features.requires_grad_()
    loss = class_center_similarity(features, labels, 3)
    loss.backward()
    assert loss.item() == pytest.approx(center_loops(features.detach(), labels, 3), rel=1e-12)
    assert features.grad.isfinite().all() and not features.grad[2:4].any() and features.grad[:2].any()


def mixed_loops(logits, labels, trusted, poisoned, weight, num_trusted=None, num_poisoned=None):
    logits, labels, trusted, poisoned = (part.tolist() for part in (logits, labels, trusted, poisoned))
    log_p = [row[y] - math.log(math.fsum(map(math.exp, row))) for row, y in zip(logits, labels, strict=True)]
    good = [value for value, chosen in zip(log_p, trusted, strict=True) if chosen]
    bad = [value for value, chosen in zip(log_p, poisoned, strict=True) if chosen]
    if num_trusted is None:
        return (-math.fsum(good) / len(good) if good else 0) + weight * (math.fsum(bad) / len(bad) if bad else 0)
    if not good + bad:
        return 0
    scale = (num_trusted + num_poisoned) / (len(good) + len(bad))
    attract = -math.fsum(good) / num_trusted if num_trusted else 0
    return scale * (attract + weight * (math.fsum(bad) / num_poisoned if num_poisoned else 0))


@pytest.mark.parametrize("sizes", [{}, {"num_trusted": 20, "num_poisoned": 7}])
@pytest.mark.parametrize("member", ["ttppnn", "tttttt", "pppppp", "nnnnnn", "tnnnnn", "nnnnnp"])
def test_mixed_cross_entropy_equals_eq_3_as_loops(member, sizes):
    logits, labels = rows(6, 4, seed=8).requires_grad_(), torch.tensor([0, 1, 2, 3, 0, 1])
    trusted, poisoned = (torch.tensor([m == kind for m in member]) for kind in "tp")
    loss = mixed_cross_entropy(logits, labels, trusted, poisoned, poisoned_weight=0.3, **sizes)
    expected = mixed_loops(logits.detach(), labels, trusted, poisoned, 0.3, *sizes.values())
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    assert logits.grad.isfinite().all()


def test_mixed_cross_entropy_over_all_batches_of_the_union_averages_to_the_means_over_the_sets():
    logits, labels = rows(6, 4, seed=9), torch.tensor([0, 1, 2, 3, 0, 1])
    trusted, poisoned = torch.tensor([1, 1, 1, 1, 0, 0]).bool(), torch.tensor([0, 0, 0, 0, 1, 1]).bool()
    sizes = {"num_trusted": 4, "num_poisoned": 2}
    losses = []
    for chosen in itertools.combinations(range(6), 2):
        b = list(chosen)
        losses.append(mixed_cross_entropy(logits[b], labels[b], trusted[b], poisoned[b], poisoned_weight=0.5, **sizes))
    over_sets = mixed_cross_entropy(logits, labels, trusted, poisoned, poisoned_weight=0.5)
    assert torch.stack(losses).mean().item() == pytest.approx(over_sets.item(), rel=1e-12)


@pytest.mark.parametrize("sizes", [{"num_trusted": 3}, {"num_poisoned": 3}, {"num_trusted": -1, "num_poisoned": 2}])
def test_mixed_cross_entropy_refuses_one_set_size_or_a_negative_one(sizes):
    flags = torch.tensor([True])
    with pytest.raises(Refused, match="both set sizes"):
        mixed_cross_entropy(rows(1, 2, seed=0), torch.tensor([0]), flags, ~flags, poisoned_weight=1.0, **sizes)


def test_unlearning_is_the_mean_log_probability_and_relearning_its_negative():
    logits, labels = rows(5, 3, seed=10), torch.tensor([0, 2, 1, 1, 0])
    everyone = torch.ones(5, dtype=torch.bool)
    expected = mixed_loops(logits, labels, everyone, ~everyone, 0.0)
    assert relearning(logits, labels).item() == pytest.approx(expected, rel=1e-12)
    assert unlearning(logits, labels).item() == pytest.approx(-expected, rel=1e-12)


def test_gradients_of_every_loss_equal_finite_differences():
    draw = random.Random(11)
    labels = torch.tensor([draw.randrange(3) for _ in range(5)])
    trusted = torch.tensor([True, True, False, True, False])
    z, features = rows(5, 2, 4, seed=12, unit=True).requires_grad_(), rows(5, 3, seed=13).requires_grad_()
    for positives in ("paper", "authors"):
        options = {"temperature": 0.5, "positives": positives}
        assert torch.autograd.gradcheck(
            lambda z, options=options: semi_supervised_contrastive(z, labels, trusted, **options), z
        )
    for loss in (
        lambda x: class_center_similarity(x, labels, 4),
        lambda x: mixed_cross_entropy(x, labels, trusted, ~trusted, poisoned_weight=0.2),
        lambda x: mixed_cross_entropy(x, labels, trusted, ~trusted, poisoned_weight=0.2, num_trusted=9, num_poisoned=4),
        lambda x: unlearning(x, labels),
        lambda x: relearning(x, labels),
    ):
        assert torch.autograd.gradcheck(loss, features)
