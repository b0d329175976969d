"""L_intra against Eq. (8), written as loops in float64."""

import itertools
import math

import numpy as np
import pytest
import torch

from ray_defense.losses.class_centers import class_center_similarity
from tests.support.random_rows import dot, random_rows


def center_loops(features, labels, num_classes):
    features = features.tolist()
    labels = labels.tolist()
    centers = []
    for label in range(num_classes):
        members = [row for row, y in zip(features, labels, strict=True) if y == label]
        if np.any(members):
            columns = zip(*members, strict=True)
            centers.append([math.fsum(column) / len(members) for column in columns])
    total = 0.0
    for a, b in itertools.permutations(centers, 2):
        total += dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))
    return total / num_classes**2


@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 0, 1, 2], [0, 0, 3, 3, 3, 0], [4] * 6, [0, 1, 1, 1, 1, 1]]
)
def test_class_center_similarity_equals_eq_8_as_loops(labels):
    features = random_rows(6, 7, seed=6)
    labels = torch.tensor(labels)
    loss = class_center_similarity(features, labels, 5)
    expected = center_loops(features, labels, 5)
    assert loss.item() == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_a_zero_center_adds_nothing_and_gets_no_gradient():
    features = random_rows(6, 4, seed=7)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    features[2:4] = 0
    features.requires_grad_()
    loss = class_center_similarity(features, labels, 3)
    loss.backward()
    expected = center_loops(features.detach(), labels, 3)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert features.grad.isfinite().all()
    assert not features.grad[2:4].any()
    assert features.grad[:2].any()


def test_class_center_similarity_under_autocast_equals_that_in_float32():
    features = random_rows(6, 8, seed=5).float()
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    plain = class_center_similarity(features, labels, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = class_center_similarity(features, labels, 3)
    assert torch.equal(under_autocast, plain)
    assert plain.dtype == torch.float32
    assert class_center_similarity(features.bfloat16(), labels, 3).dtype == torch.float32


def test_the_gradient_of_class_center_similarity_equals_finite_differences():
    labels = torch.tensor([1, 2, 1, 1, 2])
    features = random_rows(5, 3, seed=13).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: class_center_similarity(x, labels, 4), features)
