"""Weight files."""

import os
import pickle

import pytest
import torch

from ray_defense.core.errors import InputError, RunError
from ray_defense.core.sealed import write_sealed
from ray_defense.execution.checkpoint import CHECKPOINT, load_checkpoint
from ray_defense.models.projection_head import ProjectionHead
from ray_defense.models.seeded import build_model, build_seeded
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import load_model, load_weights, save_weights
from tests.support.model_inputs import have_equal_weights, normal_images


def small_model(seed, num_classes=10, width=16):
    return build_model(SmallResNet(width=width), num_classes, seed)


def test_weights_read_back_are_the_bits_written_and_the_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "model.safetensors"
    first = small_model(seed=1)
    first.train()(normal_images(4))  # moves the BatchNorm statistics
    second = small_model(seed=2).to(memory_format=torch.channels_last)
    reader = small_model(seed=3)
    for model in (first, second):
        save_weights(path, model)
        load_weights(path, reader)
        assert have_equal_weights(model, reader)
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_equal_weights_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_weights(tmp_path / name, small_model(seed=1))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_not_written(tmp_path, number):
    """Finding: a model that diverged was published and evaluated."""
    model = small_model(seed=1)
    name, buffer = list(model.named_buffers())[-2]
    buffer.view(-1)[0] = number
    with pytest.raises(RunError, match=f"the training diverged: '{name}' of model.safetensors"):
        save_weights(tmp_path / "model.safetensors", model)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, small_model(seed=1))
    return path


def test_a_loaded_model_has_the_weights_of_the_file(written):
    model = load_model(written, SmallResNet(), 10)
    assert have_equal_weights(model, small_model(seed=1))


def test_a_model_of_other_classes_than_the_file_is_not_loaded(written):
    with pytest.raises(InputError, match="another model"):
        load_model(written, SmallResNet(), 11)


BREAKS = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"0",
    "a pickle": lambda data: b"\x80\x04K\x01.",
    "an endless header": lambda data: b"\xff" * 8 + data[8:],
    "garbage in the header": lambda data: data[:8] + b"\x00" * 50 + data[58:],
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_broken_weight_file_is_refused_and_the_model_stays_as_it_was(written, how):
    written.write_bytes(BREAKS[how](written.read_bytes()))
    reader = small_model(seed=2)
    with pytest.raises(InputError, match="whole safetensors"):
        load_weights(written, reader)
    assert have_equal_weights(reader, small_model(seed=2))


OTHER_MODELS = {
    "other classes": lambda: small_model(seed=2, num_classes=11),
    "other width": lambda: small_model(seed=2, width=8),
    "other type": lambda: small_model(seed=2).double(),
    "other network": lambda: build_seeded(lambda: ProjectionHead(64), seed=2),
}


@pytest.mark.parametrize("other", OTHER_MODELS)
def test_weights_of_another_model_are_refused_and_the_model_stays_as_it_was(written, other):
    reader = OTHER_MODELS[other]()
    with pytest.raises(InputError, match="another model"):
        load_weights(written, reader)
    assert have_equal_weights(reader, OTHER_MODELS[other]())


class Payload:
    """Touches a file when a pickle of it is opened."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mknod, (str(self.mark),)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model.pth", "model.bin"])
def test_row_input_19_no_code_in_a_model_file_is_run(tmp_path, name):
    mark = tmp_path / "mark"
    for write in (torch.save, lambda state, path: path.write_bytes(pickle.dumps(state, 2))):
        write({"weight": torch.ones(2), "more": Payload(mark)}, tmp_path / name)
        with pytest.raises(InputError):
            load_weights(tmp_path / name, small_model(seed=1))
        with pytest.raises((InputError, RunError)):
            write_sealed(tmp_path / CHECKPOINT, (tmp_path / name).read_bytes())
            load_checkpoint(tmp_path, torch.device("cpu"))
    assert not mark.exists()


def test_a_missing_file_a_directory_and_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent", "", "pipe"):
        with pytest.raises(InputError, match="not a file"):
            load_weights(tmp_path / name, SmallResNet().build(2))
