"""Networks: shapes, sizes, seeds, and weight files."""

import os

import pytest
import torch

from ray_defense.core.errors import Refused
from ray_defense.models import MODELS, ProjectionHead, SmallResNet, build_model, load_weights, save_weights, seeded

NUM_WEIGHTS = {  # for ten classes, by hand from the layers' shapes
    "small_resnet": 78_042,
    "resnet18": 11_173_962,
    "resnet18_no_pool": 11_173_962,
    "resnet18_imagenet": 11_181_642,
}


@pytest.fixture(scope="module", params=MODELS)
def named(request):
    return request.param, build_model(MODELS[request.param](), 10, seed=1)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def images(count, side=32):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_a_model_gives_features_and_the_classifiers_logits_of_them(named):
    name, model = named
    with torch.no_grad():
        features, logits = model.eval()(images(3))
        assert MODELS[name].name == name
        assert features.shape == (3, model.feature_dim) and logits.shape == (3, 10)
        assert torch.equal(model.classifier(features), logits)
        assert isinstance(model.classifier, torch.nn.Linear) and (features >= 0).all()


def test_a_model_has_the_papers_number_of_weights(named):
    name, model = named
    assert sum(weight.numel() for weight in model.parameters()) == NUM_WEIGHTS[name]


def test_features_in_eval_mode_depend_on_their_own_sample_alone(named):
    _, model = named
    batch = images(4)
    with torch.no_grad():
        together = model.eval()(batch)[0]
        alone = torch.cat([model(batch[b : b + 1])[0] for b in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_every_weight_of_a_model_gets_a_gradient(named):
    _, model = named
    model.zero_grad()
    features, logits = model.train()(images(2))
    logits.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_the_stems_shrink_a_32_pixel_image_as_the_paper_says():
    sides = {}
    for name in MODELS:
        model = build_model(MODELS[name](), 2, seed=0)
        last = [m for m in model.modules() if type(m).__name__ == "BasicBlock"][-1]
        last.register_forward_hook(lambda _m, _i, output, name=name: sides.update({name: output.shape[-1]}))
        with torch.no_grad():
            model.eval()(images(1))
    assert sides == {"small_resnet": 4, "resnet18": 2, "resnet18_no_pool": 4, "resnet18_imagenet": 1}


def test_equal_seeds_give_equal_weights_and_others_do_not():
    first, again, other = (build_model(SmallResNet(), 10, seed) for seed in (2**64 - 1, 2**64 - 1, 7))
    assert equal(first, again) and not equal(first, other)


def test_building_leaves_torchs_global_generator_alone_and_does_not_depend_on_it():
    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    first = build_model(SmallResNet(), 10, seed=3)
    assert torch.equal(torch.rand(4), expected)
    assert equal(first, build_model(SmallResNet(), 10, seed=3))


def test_fewer_than_two_classes_and_no_width_are_refused():
    with pytest.raises(Refused, match="num_classes"):
        build_model(SmallResNet(), 1, seed=0)
    with pytest.raises(Refused, match="width"):
        SmallResNet(width=0)


def test_projections_have_unit_length_in_float32_under_autocast_too():
    head = seeded(lambda: ProjectionHead(64), seed=4)
    assert equal(head, seeded(lambda: ProjectionHead(64), seed=4))
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        z = head(torch.randn(5, 64, generator=torch.Generator().manual_seed(1)))
    assert z.shape == (5, 128) and z.dtype == torch.float32
    torch.testing.assert_close(z.norm(dim=1), torch.ones(5))


def test_weights_read_back_are_the_bits_written_and_the_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "model.safetensors"
    first, second, reader = (build_model(SmallResNet(), 10, seed) for seed in (1, 2, 3))
    first.train()(images(4))  # moves the BatchNorm statistics
    second.to(memory_format=torch.channels_last)
    for model in (first, second):
        save_weights(path, model)
        load_weights(path, reader)
        assert equal(model, reader)
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_equal_weights_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_weights(tmp_path / name, build_model(SmallResNet(), 10, seed=1))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, build_model(SmallResNet(), 10, seed=1))
    return path


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
    reader = build_model(SmallResNet(), 10, seed=2)
    with pytest.raises(Refused, match="whole safetensors"):
        load_weights(written, reader)
    assert equal(reader, build_model(SmallResNet(), 10, seed=2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: build_model(SmallResNet(), 11, seed=2),
        lambda: build_model(SmallResNet(width=8), 10, seed=2),
        lambda: build_model(SmallResNet(), 10, seed=2).double(),
        lambda: seeded(lambda: ProjectionHead(64), seed=2),
    ],
    ids=["other classes", "other width", "other type", "other network"],
)
def test_weights_of_another_model_are_refused_and_the_model_stays_as_it_was(written, make):
    reader = make()
    with pytest.raises(Refused, match="another model"):
        load_weights(written, reader)
    assert equal(reader, make())


def test_a_missing_file_a_directory_and_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent", "", "pipe"):
        with pytest.raises(Refused, match="not a file"):
            load_weights(tmp_path / name, SmallResNet().build(2))
