"""Unlearning in company: what a batch holds, what its step computes, and when it takes none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.core.random import permutation, stream
from ray_defense.data.training_set import ALONE, TrainingSet, WorkerShare
from ray_defense.defenses import companions, d_br_training
from ray_defense.defenses.companions import flagged_size, in_company
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.models.seeded import build_model
from ray_defense.training.settings import Sgd
from tests.support.defended_noise import (
    BACKDOORED_SEED,
    INDEX,
    MODEL,
    NUM_CLASSES,
    REMOVAL,
    DefendedNoise,
    changed_modules,
    view_without_augmentation,
    weights_of,
)
from tests.support.killed import KilledAndResumed
from tests.support.steps import CPU

PLAIN_SGD = Sgd(0.05, momentum=0.0, weight_decay=0.0)
IN_COMPANY = replace(REMOVAL, companions=1, steps=("unlearn",), rounds=1)
SHARES = [WorkerShare(0, 2), WorkerShare(1, 2)]


def test_fewer_companions_than_none_are_refused():
    with pytest.raises(InputError, match="d_br.companions must be at least 0, not -1"):
        BackdoorRemoval(companions=-1)


@pytest.mark.parametrize(
    ("batch_size", "num_companions", "num_workers", "expected"),
    [
        (128, 3, 1, 32),
        (128, 3, 4, 32),
        (128, 2, 1, 42),
        (128, 2, 4, 40),
        (8, 9, 1, 1),
        (8, 9, 2, 2),
    ],
)
def test_a_batch_is_filled_with_equal_shares_and_holds_a_flagged_sample_for_each_worker(
    batch_size, num_companions, num_workers, expected
):
    share = WorkerShare(0, num_workers)
    assert flagged_size(batch_size, num_companions, share) == expected


def sets_of(noise: DefendedNoise) -> dict[str, TrainingSet]:
    directory = noise.plan(REMOVAL).needs[0].artifact.path
    sets = {}
    for part in ("flagged", "trusted"):
        select = INDEX[noise.part == part]
        sets[part] = TrainingSet(directory, CPU, "numpy", resident_bytes=2**30, select=select)
    return sets


def drawn(
    sets: dict[str, TrainingSet], size: int, share: WorkerShare, num_companions: int = 2
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns the indices of the flagged samples and of the companions of each batch."""
    pairs = in_company(
        sets["flagged"].epoch(3, size, share),
        sets["trusted"],
        key=4,
        companions=num_companions,
        size=size,
        share=share,
    )
    return [(flagged.index.numpy(), beside.index.numpy()) for flagged, beside in pairs]


def test_each_flagged_sample_comes_once_and_has_its_companions_also_in_the_last_batch(noise):
    sets = sets_of(noise)
    batches = drawn(sets, 3, ALONE)
    assert [len(flagged) for flagged, _ in batches] == [3, 3, 2]
    for flagged, beside in batches:
        assert len(beside) == 2 * len(flagged)
        assert set(beside) <= set(sets["trusted"].index)
    together = np.concatenate([flagged for flagged, _ in batches])
    assert np.array_equal(np.sort(together), sets["flagged"].index)


@pytest.mark.parametrize("num_companions", [1, 5])  # 5: more than there are trusted samples
def test_the_shares_of_two_workers_are_the_batches_of_one(noise, num_companions):
    sets = sets_of(noise)
    alone = drawn(sets, 4, ALONE, num_companions)
    first = drawn(sets, 4, SHARES[0], num_companions)
    second = drawn(sets, 4, SHARES[1], num_companions)
    assert len(alone) == len(first) == len(second) == 2
    for whole, one, other in zip(alone, first, second, strict=True):
        for position in (0, 1):
            joined = np.concatenate((one[position], other[position]))
            assert len(one[position]) == len(other[position])
            assert np.array_equal(np.sort(joined), np.sort(whole[position]))


def test_a_step_is_ascent_on_the_flagged_alone_with_the_statistics_of_all(noise, monkeypatch):
    """Parity: theta + rate * the gradient of the mean of -log p(y|x) over the flagged, by loops."""
    monkeypatch.setattr(d_br_training, "make_view", view_without_augmentation)
    trained = weights_of(noise.train(replace(IN_COMPANY, batch_size=16, sgd=PLAIN_SGD)))
    images, labels = noise.members("flagged")
    trusted_images, _ = noise.members("trusted")
    key = stream(noise.context.seed, "d_br", "order", "companions", 0)
    beside = permutation(stream(key, 0), len(trusted_images))[: len(images)]
    model = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED).train()
    _, logits = model(torch.cat((images, trusted_images[beside])))
    total = torch.zeros(())
    for position, label in enumerate(labels):
        exponentials = logits[position].exp()
        total = total - (exponentials[label] / exponentials.sum()).log()
    (total / len(labels)).backward()
    for name, parameter in model.named_parameters():
        expected = parameter + 0.05 * parameter.grad
        assert torch.allclose(trained[name], expected, atol=1e-6), name


def test_companions_are_seen_and_their_labels_are_not(noise, tmp_path):
    trained = weights_of(noise.train(IN_COMPANY))
    relabeled = noise.relabeled("trusted", tmp_path / "relabeled")
    assert changed_modules(trained, weights_of(relabeled.train(IN_COMPANY))) == set()
    repainted = noise.repainted("trusted", tmp_path / "repainted")
    changed = changed_modules(trained, weights_of(repainted.train(IN_COMPANY)))
    assert changed == {"extractor", "classifier"}


@pytest.mark.parametrize("unlearning", ["ascent", "semantic"])
def test_a_batch_whose_labels_are_unlearned_takes_no_step(noise, monkeypatch, unlearning):
    agreements = iter([0.9, 0.9, 0.1, 0.5, 0.6, 0.0, 0.0])  # flagged, its four batches, both parts
    steps = []

    def counted_step(loss, optimizer):
        steps.append(loss)

    monkeypatch.setattr(d_br_training, "measure_accuracy", lambda *arguments: next(agreements))
    monkeypatch.setattr(companions, "take_step", counted_step)
    defense = replace(
        IN_COMPANY, batch_size=4, unlearn_above=0.5, unlearning=unlearning, semantic_epochs=1
    )
    noise.train(defense)
    assert len(steps) == 2
    assert next(agreements, None) is None


def test_without_a_bound_every_batch_takes_a_step(noise, monkeypatch):
    steps = []
    monkeypatch.setattr(companions, "take_step", lambda loss, optimizer: steps.append(loss))
    history = read_json(noise.train(replace(IN_COMPANY, batch_size=4)).path / "metrics.json")
    assert len(steps) == 4
    mean = np.mean([loss.item() for loss in steps])
    assert history["history"][0]["unlearn_loss"] == pytest.approx(mean)


def test_a_killed_d_br_in_company_resumes_to_the_same_bits(noise, tmp_path, monkeypatch):
    defense = replace(REMOVAL, companions=1, unlearn_above=0.1)
    whole = weights_of(noise.in_store(tmp_path / "whole").train(defense))
    killed = KilledAndResumed(d_br_training, 1, monkeypatch)
    resumed = weights_of(noise.train(defense, executor=killed))
    assert changed_modules(whole, resumed) == set()


def test_where_nothing_is_flagged_nobody_has_companions(noise, tmp_path):
    nothing = replace(noise.without_part("flagged"), root=tmp_path / "nothing", has_verdict=True)
    defense = replace(REMOVAL, companions=1)
    expected = weights_of(nothing.train(REMOVAL))
    assert changed_modules(expected, weights_of(nothing.train(defense))) == set()
