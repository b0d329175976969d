"""SimCLR and SupCon: whose labels their phases read, and that they are D-ST with other labels."""

from dataclasses import replace

import pytest

from ray_defense.core.files import read_json
from ray_defense.defenses.contrastive_phase import ContrastivePhase
from ray_defense.training.settings import Sgd
from tests.support.defended_noise import LABELED, SECURE, UNLABELED, changed_modules, weights_of


@pytest.mark.parametrize(
    ("defense", "expected"),
    [(UNLABELED, {"classifier"}), (LABELED, {"extractor", "classifier"})],
)
def test_the_extractor_of_supcon_reads_labels_and_that_of_simclr_does_not(
    noise, tmp_path, defense, expected
):
    trained = weights_of(noise.train(defense))
    for part in ("trusted", "flagged", "uncertain"):
        other = noise.relabeled(part, tmp_path / part).train(defense)
        assert changed_modules(trained, weights_of(other)) == expected, part


def test_the_classifier_phase_leaves_the_extractor_as_it_is(noise, tmp_path):
    still = replace(UNLABELED, classifier_sgd=Sgd(0.0))
    other = noise.in_store(tmp_path / "still").train(still)
    assert changed_modules(weights_of(noise.train(UNLABELED)), weights_of(other)) == {"classifier"}


@pytest.mark.parametrize(("defense", "labels_used"), [(UNLABELED, "none"), (LABELED, "all")])
def test_the_losses_are_those_of_d_st_with_the_labels_of_no_or_all_samples(
    noise, tmp_path, monkeypatch, defense, labels_used
):
    """The random streams differ by the name of the defense alone, so they are made to agree."""
    created = ContrastivePhase.__init__
    monkeypatch.setattr("ray_defense.defenses.contrastive_baseline_training.stream", _same_stream)
    monkeypatch.setattr("ray_defense.defenses.d_st_training.stream", _same_stream)

    def create_with_one_name(self, name, *args, **kwargs):
        created(self, "one", *args, **kwargs)

    monkeypatch.setattr(ContrastivePhase, "__init__", create_with_one_name)
    # Equal settings, but for what only D-ST has.
    shared = {
        name: getattr(defense, name)
        for name in ("augmentation", "sgd", "epochs", "batch_size", "temperature")
    }
    secure = replace(SECURE, labels_used=labels_used, **shared)
    histories = []
    for number, trained in enumerate((defense, secure)):
        artifact = noise.in_store(tmp_path / str(number)).train(trained)
        history = read_json(artifact.path / "metrics.json")["history"]
        histories.append([epoch["contrastive_loss"] for epoch in history[:2]])
    assert histories[0] == histories[1]


def _same_stream(seed, name, *names):
    from ray_defense.core.random import stream

    return stream(seed, "one", *names)
