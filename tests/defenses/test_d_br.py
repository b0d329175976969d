"""D-BR: what its steps do to the losses, what it depends on, and which round it keeps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.defenses import d_br_training
from ray_defense.defenses.d_br_training import kept_round
from ray_defense.defenses.semantic_labels import SemanticLabels
from ray_defense.models.seeded import build_model
from ray_defense.training.settings import Sgd
from tests.support.defended_noise import (
    BACKDOORED_SEED,
    MODEL,
    NUM_CLASSES,
    NUM_SAMPLES,
    REMOVAL,
    DefendedNoise,
    changed_modules,
    view_without_augmentation,
    weights_of,
)
from tests.support.killed import KilledAndResumed

HISTORY = [
    {"trusted_accuracy": 0.9, "flagged_accuracy": 0.9},
    {"trusted_accuracy": 0.8, "flagged_accuracy": 0.1},
    {"trusted_accuracy": 0.9, "flagged_accuracy": 0.2},
    {"trusted_accuracy": 0.1, "flagged_accuracy": 0.0},
]


def test_the_last_round_is_kept_or_the_first_of_the_largest_gain():
    assert kept_round(HISTORY, "last") == 4
    assert kept_round(HISTORY[:2] + HISTORY[3:], "splits") == 2
    assert kept_round([HISTORY[0], HISTORY[1], HISTORY[1]], "splits") == 2


@pytest.mark.parametrize("part", ["trusted", "flagged"])
def test_d_br_refuses_an_empty_part(noise, part):
    with pytest.raises(InputError, match=f"the {part} split is empty, and d_br needs it"):
        noise.without_part(part).train(REMOVAL)


def loss_of_part(noise: DefendedNoise, part: str, weights: dict[str, torch.Tensor]) -> float:
    """Returns the cross-entropy of one part, with batch statistics as in a step."""
    model = build_model(MODEL, NUM_CLASSES, 0).train()
    model.load_state_dict(weights)
    images, labels = noise.members(part)
    _, logits = model(images)
    return cross_entropy(logits, labels).item()


@pytest.mark.parametrize(
    ("step", "part", "rises"), [("unlearn", "flagged", True), ("relearn", "trusted", False)]
)
def test_a_step_on_a_whole_part_moves_its_loss_the_right_way(noise, step, part, rises):
    sgd = Sgd(1e-3, weight_decay=0.0)
    defense = replace(REMOVAL, rounds=1, steps=(step,), batch_size=NUM_SAMPLES, sgd=sgd)
    trained = weights_of(noise.train(defense))
    backdoored = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED).state_dict()
    before = loss_of_part(noise, part, backdoored)
    after = loss_of_part(noise, part, trained)
    assert (after > before) is rises
    assert abs(after - before) > 1e-4


def test_the_first_step_of_d_br_is_gradient_ascent_on_the_flagged_samples(noise, monkeypatch):
    """Parity: theta + rate * the gradient of the mean cross-entropy of Eq. (4), by hand."""
    sgd = Sgd(0.05, momentum=0.0, weight_decay=0.0)
    defense = replace(REMOVAL, rounds=1, steps=("unlearn",), batch_size=NUM_SAMPLES, sgd=sgd)
    monkeypatch.setattr(d_br_training, "make_view", view_without_augmentation)
    trained = weights_of(noise.train(defense))
    model = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED).train()
    images, labels = noise.members("flagged")
    _, logits = model(images)
    cross_entropy(logits, labels).backward()
    for name, parameter in model.named_parameters():
        expected = parameter + 0.05 * parameter.grad
        assert torch.allclose(trained[name], expected, atol=1e-6), name


@pytest.mark.parametrize("change", [DefendedNoise.relabeled, DefendedNoise.repainted])
def test_d_br_depends_on_the_trusted_and_the_flagged_samples_alone(noise, tmp_path, change):
    trained = weights_of(noise.train(REMOVAL))
    expected_changes = {
        "uncertain": set(),
        "trusted": {"extractor", "classifier"},
        "flagged": {"extractor", "classifier"},
    }
    for part, expected in expected_changes.items():
        other = weights_of(change(noise, part, tmp_path / part).train(REMOVAL))
        assert changed_modules(trained, other) == expected, part


def test_d_br_publishes_every_round_and_the_kept_round_as_the_model(noise):
    artifact = noise.train(replace(REMOVAL, rounds=3, keep="splits"))
    metrics = read_json(artifact.path / "metrics.json")
    rounds = [f"round-{number:03d}.safetensors" for number in (1, 2, 3)]
    assert sorted(path.name for path in (artifact.path / "rounds").iterdir()) == rounds
    kept = metrics["kept_round"]
    assert kept == kept_round(metrics["history"], "splits")
    hashes = artifact.hashes
    assert hashes["model.safetensors"] == hashes[f"rounds/round-{kept:03d}.safetensors"]
    names = {"unlearn_loss", "relearn_loss", "trusted_accuracy", "flagged_accuracy"}
    for of_round in metrics["history"]:
        assert set(of_round) == names


@pytest.mark.parametrize(("threshold", "unlearns"), [(0.0, True), (1.0, False), (None, True)])
def test_a_round_unlearns_while_the_agreement_is_above_the_threshold(noise, threshold, unlearns):
    defense = replace(REMOVAL, rounds=1, unlearn_above=threshold)
    history = read_json(noise.train(defense).path / "metrics.json")["history"]
    assert ("unlearn_loss" in history[0]) is unlearns
    assert "relearn_loss" in history[0]


def test_a_killed_d_br_resumes_to_the_same_bits(noise, tmp_path, monkeypatch):
    whole = weights_of(noise.in_store(tmp_path / "whole").train(REMOVAL))
    killed = KilledAndResumed(d_br_training, 1, monkeypatch)
    resumed = weights_of(noise.train(REMOVAL, executor=killed))
    assert changed_modules(whole, resumed) == set()


def test_unlearning_to_uniform_ends_where_nothing_is_known_of_the_flagged_samples(noise):
    """Ascent drives their loss up without end; this drives every class to the same probability."""
    sgd = Sgd(0.05, weight_decay=0.0)
    defense = replace(
        REMOVAL,
        rounds=60,
        steps=("unlearn",),
        batch_size=NUM_SAMPLES,
        sgd=sgd,
        unlearning="uniform",
    )
    history = read_json(noise.train(defense).path / "metrics.json")["history"]
    losses = [of_round["unlearn_loss"] for of_round in history]
    entropy = np.log(NUM_CLASSES)
    assert losses[0] > losses[-1] >= entropy
    assert losses[-1] < entropy + 0.05


def test_semantic_unlearning_trains_the_flagged_samples_on_other_labels(noise, monkeypatch):
    """Parity: one step down the cross-entropy to the labels of the network, by hand."""
    sgd = Sgd(0.05, momentum=0.0, weight_decay=0.0)
    defense = replace(
        REMOVAL,
        rounds=1,
        steps=("unlearn",),
        batch_size=NUM_SAMPLES,
        sgd=sgd,
        unlearning="semantic",
        semantic_epochs=2,
    )
    given = (noise.labels[noise.part == "flagged"] + 1) % NUM_CLASSES
    monkeypatch.setattr(SemanticLabels, "_predict", lambda semantic: torch.from_numpy(given))
    monkeypatch.setattr(d_br_training, "make_view", view_without_augmentation)
    artifact = noise.train(defense)
    trained = weights_of(artifact)
    model = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED).train()
    images, _ = noise.members("flagged")
    _, logits = model(images)
    cross_entropy(logits, torch.from_numpy(given)).backward()
    for name, parameter in model.named_parameters():
        expected = parameter - 0.05 * parameter.grad
        assert torch.allclose(trained[name], expected, atol=1e-6), name
    metrics = read_json(artifact.path / "metrics.json")
    assert [set(epoch) for epoch in metrics["history"][:2]] == [
        {"semantic_loss", "semantic_accuracy"}
    ] * 2
    assert metrics["kept_round"] == 3


def test_semantic_labels_do_not_depend_on_the_labels_of_flagged_samples(noise, tmp_path):
    defense = replace(REMOVAL, rounds=1, steps=("unlearn",), unlearning="semantic")
    trained = weights_of(noise.train(defense))
    relabeled = noise.relabeled("flagged", tmp_path / "other")
    assert changed_modules(trained, weights_of(relabeled.train(defense))) == set()
    uncertain = noise.relabeled("uncertain", tmp_path / "uncertain")
    changed = changed_modules(trained, weights_of(uncertain.train(defense)))
    assert changed == {"extractor", "classifier"}


def test_a_round_unlearns_down_to_chance_if_told_so(noise):
    defense = replace(REMOVAL, rounds=8, unlearn_above="chance")
    history = read_json(noise.train(defense).path / "metrics.json")["history"]
    for before, of_round in zip(history, history[1:], strict=False):
        assert ("unlearn_loss" in of_round) is (before["flagged_accuracy"] > 1 / NUM_CLASSES)


def test_a_killed_semantic_d_br_resumes_to_the_same_bits(noise, tmp_path, monkeypatch):
    defense = replace(REMOVAL, unlearning="semantic", semantic_epochs=1)
    whole = weights_of(noise.in_store(tmp_path / "whole").train(defense))
    killed = KilledAndResumed(d_br_training, 2, monkeypatch)
    resumed = weights_of(noise.train(defense, executor=killed))
    assert changed_modules(whole, resumed) == set()


def test_where_a_verdict_says_that_nothing_is_to_be_flagged_d_br_only_relearns(noise, tmp_path):
    nothing = replace(noise.without_part("flagged"), root=tmp_path / "nothing", has_verdict=True)
    for unlearning in ("ascent", "semantic"):
        artifact = nothing.train(replace(REMOVAL, unlearning=unlearning, keep="splits"))
        metrics = read_json(artifact.path / "metrics.json")
        assert metrics["notes"] == ["D-BR unlearned nothing, since nothing is flagged"]
        for of_round in metrics["history"]:
            assert set(of_round) == {"relearn_loss", "trusted_accuracy"}
    with pytest.raises(InputError, match="the trusted split is empty"):
        replace(noise.without_part("trusted"), has_verdict=True).train(REMOVAL)
