"""The probe's training: the epochs that it keeps, and how a killed one ends."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.detectors.probe import ProbeConfig, kept_epochs
from ray_defense.execution.local import LocalWorker
from ray_defense.execution.steps import Step
from ray_defense.stages.probe import probe_step
from ray_defense.store.artifacts import Store
from tests.support.traced_probe import LAST_EPOCH, PoisonedDigits, poison_digits


@pytest.fixture(scope="module")
def data(digits, tmp_path_factory) -> PoisonedDigits:
    return poison_digits(digits, tmp_path_factory.mktemp("probe"))


@pytest.fixture(scope="module")
def probe(data) -> Step:
    return data.probe_that_kept_epochs()


@pytest.fixture(scope="module")
def plain_probes(data) -> list[Step]:
    return data.probes_that_kept_none()


def test_a_kept_epoch_is_the_probe_trained_for_that_many_epochs_to_the_byte(probe, plain_probes):
    epochs = kept_epochs(probe.artifact)
    names = [path.name for path in epochs.values()]
    assert names == ["00.safetensors", "01.safetensors", "02.safetensors"]
    weights = [path.read_bytes() for path in epochs.values()]
    assert len(set(weights)) == 3
    for kept, plain in zip(weights, plain_probes, strict=True):
        assert kept == (plain.artifact.path / "model.safetensors").read_bytes()
    for name in ("model.safetensors", "metrics.json"):
        expected = (plain_probes[LAST_EPOCH].artifact.path / name).read_bytes()
        assert (probe.artifact.path / name).read_bytes() == expected


@pytest.mark.parametrize("lost", [2, 3])
def test_a_probe_killed_before_the_checkpoint_of_an_epoch_ends_with_the_same_files(
    data, probe, tmp_path, monkeypatch, lost
):
    context = replace(data.context, store=Store(tmp_path))
    saved = []
    save = LocalWorker.save

    def save_or_die(worker, state) -> None:
        saved.append(len(state["history"]))
        if saved[-1] == lost:
            raise KeyboardInterrupt
        save(worker, state)

    with monkeypatch.context() as patch:
        patch.setattr(LocalWorker, "save", save_or_die)
        with pytest.raises(KeyboardInterrupt):
            data.probe(data.config, context)
    work = probe_step(data.config, data.suspect, context).artifact.work
    assert (work / "epochs" / f"{lost - 2:02d}.safetensors").exists()
    assert saved[-1] == lost
    assert data.probe(data.config, context).artifact.hashes == probe.artifact.hashes


def test_a_probe_that_kept_no_epochs_is_refused_with_the_remedy(plain_probes):
    message = "kept no epochs: train it with --set probe.keep_epochs=true"
    with pytest.raises(InputError, match=message):
        kept_epochs(plain_probes[LAST_EPOCH].artifact)


def test_a_probe_that_fits_too_few_labels_is_noted(data, plain_probes):
    metrics = read_json(plain_probes[0].artifact.path / "metrics.json")
    accuracy = metrics["train_accuracy"]
    assert accuracy == metrics["history"][1]["train_accuracy"]
    assert bool(metrics["notes"]) is (accuracy < ProbeConfig().min_train_accuracy)
    config = replace(data.config, intra_epochs=0, keep_epochs=False)
    for threshold, is_noted in ((accuracy, False), (accuracy + 1e-6, True)):
        probe = data.probe(replace(config, min_train_accuracy=threshold))
        notes = read_json(probe.artifact.path / "metrics.json")["notes"]
        assert bool(notes) is is_noted
        assert all("raise probe.epochs" in note for note in notes)


def test_a_second_pass_over_each_batch_moves_batch_norm_alone_in_the_first_epoch(data, tmp_path):
    config = replace(data.config, epochs=1, intra_epochs=1, keep_epochs=False)
    weights = []
    for number, passes in enumerate((1, 2)):
        context = replace(data.context, store=Store(tmp_path / str(number)))
        artifact = data.probe(replace(config, intra_passes=passes), context).artifact
        weights.append(load_file(artifact.path / "model.safetensors"))
    once, twice = weights
    changed = {name for name in once if not torch.equal(once[name], twice[name])}
    assert changed
    assert all("running_" in name or "num_batches" in name for name in changed)
