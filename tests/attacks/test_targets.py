"""Targets: laws over the registry."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.attacks.targets import TARGETS, AllToOne, CleanLabel
from ray_defense.core.config import fingerprint
from ray_defense.core.errors import InputError

every_target = pytest.mark.parametrize(
    "target", [target_type() for target_type in TARGETS.values()], ids=list(TARGETS)
)


@every_target
@settings(max_examples=25, deadline=None)
@given(labels=st.lists(st.integers(0, 9), max_size=30), target_label=st.integers(0, 9))
def test_a_target_says_who_is_poisoned_how_and_who_counts(target, labels, target_label):
    if target.name != "all2all":
        target = replace(target, label=target_label)
    labels = np.array(labels, dtype=np.int64)
    eligible = target.eligible(labels)
    relabeled = target.relabel(labels, 10)
    victims = target.victims(labels)
    assert eligible.dtype == victims.dtype == bool
    assert relabeled.dtype == np.int64
    assert eligible.shape == victims.shape == relabeled.shape == labels.shape
    for label, may_be_poisoned, new, counts in zip(
        labels, eligible, relabeled, victims, strict=True
    ):
        if target.name == "all2all":
            assert may_be_poisoned
            assert counts
            assert new == (label + 1) % 10
        else:
            assert new == target_label
            assert counts == (label != target_label)
            if target.name == "clean_label":
                assert may_be_poisoned == (label == target_label)
            else:
                assert may_be_poisoned == (label != target_label)


@every_target
def test_labels_outside_the_classes_are_refused(target):
    for labels in (np.array([0, 10]), np.array([-1]), np.array([0.5]), np.array([[1]])):
        with pytest.raises(InputError):
            target.relabel(labels, 10)


@pytest.mark.parametrize("target_type", [AllToOne, CleanLabel])
def test_a_target_label_that_is_not_a_class_is_refused(target_type):
    with pytest.raises(InputError):
        target_type(label=10).relabel(np.array([1]), 10)
    with pytest.raises(InputError):
        target_type(label=-1)


@every_target
def test_the_registry_name_of_a_target_is_its_own_and_it_travels(target):
    assert TARGETS[target.name] is type(target)
    assert target.cover_ratio == 0
    assert pickle.loads(pickle.dumps(target)) == target


def test_no_two_targets_share_a_fingerprint():
    fingerprints = {fingerprint(target_type()) for target_type in TARGETS.values()}
    assert len(fingerprints) == len(TARGETS)
