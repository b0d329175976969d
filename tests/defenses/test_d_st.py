"""D-ST: what its phases train and leave alone, and which labels it reads."""

from dataclasses import replace

import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.defenses import d_st_training
from ray_defense.defenses.d_st import SecureTraining
from ray_defense.training.settings import Sgd
from ray_defense.transforms.no_augmentation import NoAugment
from tests.support.defended_noise import SECURE, changed_modules, weights_of
from tests.support.killed import KilledAndResumed

BOTH = {"extractor", "classifier"}


def test_d_st_refuses_an_empty_trusted_part(noise):
    with pytest.raises(InputError, match="the trusted split is empty, and d_st needs it"):
        noise.without_part("trusted").train(SECURE)


def test_d_st_trains_without_any_flagged_sample(noise):
    trained = weights_of(noise.without_part("flagged").train(SECURE))
    for name, value in trained.items():
        assert torch.isfinite(value.float()).all(), name


def train_several(noise, tmp_path, defenses: list[SecureTraining]) -> list[dict]:
    """Returns the weights of some defenses, each trained in a store of its own."""
    weights = []
    for number, defense in enumerate(defenses):
        artifact = noise.in_store(tmp_path / str(number)).train(defense)
        weights.append(weights_of(artifact))
    return weights


def test_the_classifier_phase_leaves_the_extractor_and_its_buffers_as_they_are(noise, tmp_path):
    defenses = [replace(SECURE, classifier_epochs=count) for count in (1, 3)]
    short, long = train_several(noise, tmp_path, defenses)
    assert any("running_mean" in name for name in short)
    assert changed_modules(short, long) == {"classifier"}


def test_the_contrastive_phase_trains_the_extractor_and_not_the_classifier(noise, tmp_path):
    still = replace(SECURE, classifier_sgd=Sgd(0.0))
    defenses = [replace(still, epochs=count) for count in (1, 2)]
    short, long = train_several(noise, tmp_path, defenses)
    assert changed_modules(short, long) == {"extractor"}


def test_d_st_never_reads_the_label_of_an_uncertain_sample(noise, tmp_path):
    trained = weights_of(noise.train(SECURE))
    relabeled = noise.relabeled("uncertain", tmp_path / "uncertain").train(SECURE)
    assert changed_modules(trained, weights_of(relabeled)) == set()


def test_d_st_reads_the_labels_that_it_may_and_every_image(noise, tmp_path):
    """Eq. (3) reads the labels of flagged samples, Eq. (2) does not."""
    trained = weights_of(noise.train(SECURE))
    changed = {
        "flagged labels": noise.relabeled("flagged", tmp_path / "flagged"),
        "trusted labels": noise.relabeled("trusted", tmp_path / "trusted"),
        "uncertain images": noise.repainted("uncertain", tmp_path / "images"),
    }
    expected = {"flagged labels": {"classifier"}, "trusted labels": BOTH, "uncertain images": BOTH}
    for name, data in changed.items():
        assert changed_modules(trained, weights_of(data.train(SECURE))) == expected[name], name


def test_the_authors_positives_read_the_labels_of_untrusted_samples(noise, tmp_path):
    # D3: this is why the paper's reading is the default.
    defense = replace(SECURE, positives="authors")
    trained = weights_of(noise.train(defense))
    relabeled = noise.relabeled("uncertain", tmp_path / "uncertain").train(defense)
    assert "extractor" in changed_modules(trained, weights_of(relabeled))


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_killed_d_st_resumes_to_the_same_bits(noise, tmp_path, monkeypatch, epoch):
    whole = weights_of(noise.in_store(tmp_path / "whole").train(SECURE))
    killed = KilledAndResumed(d_st_training, epoch, monkeypatch)
    resumed = weights_of(noise.train(SECURE, executor=killed))
    assert changed_modules(whole, resumed) == set()


def test_another_augmentation_gives_another_model(noise, tmp_path):
    plain = replace(SECURE, augmentation=NoAugment())
    with_augmentation, without = train_several(noise, tmp_path, [SECURE, plain])
    assert changed_modules(with_augmentation, without) == BOTH


def test_tuning_trains_the_whole_model_on_what_is_not_flagged(noise, tmp_path):
    tuned = replace(SECURE, tuning_epochs=2, tuning_batch_size=8)
    untuned, trained = train_several(noise, tmp_path, [SECURE, tuned])
    assert changed_modules(untuned, trained) == BOTH
    still = replace(tuned, tuning_sgd=Sgd(0.0))
    still_weights = weights_of(noise.in_store(tmp_path / "still").train(still))
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    for name, value in untuned.items():
        if not name.endswith(statistics):
            assert torch.equal(value, still_weights[name]), name


@pytest.mark.parametrize(("part", "reads"), [("uncertain", True), ("flagged", False)])
def test_tuning_reads_the_labels_of_what_is_not_flagged(noise, tmp_path, part, reads):
    tuned = replace(SECURE, tuning_epochs=1, flagged_weight=0.0, labels_used="none")
    trained = weights_of(noise.train(tuned))
    relabeled = weights_of(noise.relabeled(part, tmp_path / part).train(tuned))
    assert bool(changed_modules(trained, relabeled)) is reads


def test_a_killed_tuning_resumes_to_the_same_bits(noise, tmp_path, monkeypatch):
    tuned = replace(SECURE, tuning_epochs=2)
    whole = weights_of(noise.in_store(tmp_path / "whole").train(tuned))
    killed = KilledAndResumed(d_st_training, 5, monkeypatch)
    resumed = weights_of(noise.train(tuned, executor=killed))
    assert changed_modules(whole, resumed) == set()


def test_means_over_a_batch_give_another_classifier_on_the_same_extractor(noise, tmp_path):
    config = replace(SECURE, flagged_weight=0.5, classifier_batch_size=8)
    over_sets, over_batch = train_several(
        noise, tmp_path, [config, replace(config, mce_means="batch")]
    )
    assert changed_modules(over_sets, over_batch) == {"classifier"}
