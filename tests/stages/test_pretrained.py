"""Pretrained weights: what of a file the probe starts from, what is left out, what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.data.sources.digits import Digits
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.execution.steps import with_needs
from ray_defense.models.classifier import FeatureClassifier
from ray_defense.models.resnet18 import ResNet18ImageNet
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import load_model
from ray_defense.pipeline.audit_recipe import AuditSettings, plan_audit
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.stages.model_file import hash_of_model
from ray_defense.stages.pretrained import (
    PretrainedWeights,
    fitting_tensors,
    pretrained_step,
    read_fitting,
)
from ray_defense.stages.probe import probe_step
from ray_defense.store.artifacts import Store
from ray_defense.training.settings import Sgd
from tests.support.steps import make_step

SMALL = SmallResNet(width=4)


@pytest.fixture(scope="module")
def model() -> FeatureClassifier:
    return build_model(ResNet18ImageNet(), 3, seed=0)


def named_by_torchvision(model: FeatureClassifier) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, tensor in model.state_dict().items():
        tensors[name.removeprefix("extractor.").replace("classifier.", "fc.")] = tensor
    return tensors


def written(path: Path, tensors: dict[str, torch.Tensor]) -> PretrainedWeights:
    safetensors.torch.save_file(tensors, path)
    return PretrainedWeights(str(path), hash_of_model(path.read_bytes()))


def test_everything_fits_under_our_names_and_under_those_of_torchvision(model) -> None:
    for tensors in (dict(model.state_dict()), named_by_torchvision(model)):
        fitting = fitting_tensors(tensors, model, "w")
        assert fitting.tensors.keys() == model.state_dict().keys()
        assert fitting.left_out == fitting.missing == ()
        assert fitting.sentence() == f"{len(tensors)} tensors fit"


def test_a_classifier_of_another_number_of_classes_is_left_out_and_that_is_said(model) -> None:
    tensors = named_by_torchvision(build_model(ResNet18ImageNet(), 1000, seed=1))
    fitting = fitting_tensors(tensors, model, "w")
    assert fitting.left_out == ("fc.weight", "fc.bias")
    assert fitting.missing == ("classifier.weight", "classifier.bias")
    assert "the classifier is new" in fitting.sentence()
    assert "left out of the file: 'fc.weight', 'fc.bias'" in fitting.sentence()
    assert len(fitting.tensors) == len(tensors) - 2


def test_half_a_classifier_is_not_taken(model) -> None:
    tensors = named_by_torchvision(model)
    tensors["fc.weight"] = torch.zeros(3, 7)  # of another width; its bias would fit
    fitting = fitting_tensors(tensors, model, "w")
    assert sorted(fitting.left_out) == ["fc.bias", "fc.weight"]


def test_what_does_not_fit_is_left_out_and_named(model) -> None:
    tensors = named_by_torchvision(model)
    tensors["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    tensors["decoder.\x1b[31m"] = torch.zeros(2)
    tensors["bn1.weight"] = torch.zeros(64, dtype=torch.int64)
    fitting = fitting_tensors(tensors, model, "w")
    assert set(fitting.left_out) == {"conv1.weight", "decoder.\x1b[31m", "bn1.weight"}
    assert "2 of the network are not in the file" in fitting.sentence()
    assert "'extractor.conv1.weight', 'extractor.bn1.weight'" in fitting.sentence()


def test_a_file_of_which_only_biases_and_counters_fit_is_refused(model) -> None:
    other = {name: tensor for name, tensor in named_by_torchvision(model).items()}
    other = {name: tensor for name, tensor in other.items() if tensor.dim() < 2}
    for tensors in (other, {"a": torch.zeros(3)}):
        with pytest.raises(InputError, match=r"nothing in 'w' .* fits .*conv1.weight.* --model"):
            fitting_tensors(tensors, model, "w")


def test_numbers_that_are_not_finite_are_refused(model) -> None:
    tensors = named_by_torchvision(model)
    tensors["conv1.weight"] = torch.full((64, 3, 7, 7), torch.nan)
    with pytest.raises(InputError, match="not finite"):
        fitting_tensors(tensors, model, "w")


def test_another_file_in_the_place_of_the_one_that_was_planned_is_refused(tmp_path) -> None:
    small = build_model(SMALL, 3, seed=0)
    weights = written(tmp_path / "w", dict(small.state_dict()))
    assert read_fitting(weights, small).left_out == ()
    written(tmp_path / "w", dict(build_model(SMALL, 3, seed=1).state_dict()))
    with pytest.raises(InputError, match="has changed meanwhile"):
        read_fitting(weights, small)


def test_the_probe_starts_from_the_weights_and_their_content_is_in_its_key(
    probed_noise, tmp_path
) -> None:
    context = replace(probed_noise.context, store=Store(tmp_path / "store"))
    given = build_model(SMALL, 7, seed=5)
    weights = written(tmp_path / "w", dict(given.state_dict()))
    # So slow that the training changes nothing that can be seen.
    config = ProbeConfig(SMALL, epochs=1, intra_epochs=0, batch_size=50, sgd=Sgd(1e-9))
    pretrained = pretrained_step(weights, SMALL, 3, context)
    step = probe_step(config, probed_noise.suspect, context, pretrained)
    probe = load_model(make_step(step, context).path / "model.safetensors", SMALL, 3)
    theirs = dict(given.named_parameters())
    for name, parameter in probe.named_parameters():
        if not name.startswith("classifier."):
            assert torch.allclose(parameter, theirs[name], atol=1e-6), name
    notes = read_json(pretrained.artifact.path / "metrics.json")["notes"]
    assert "the classifier is new" in notes[0]
    elsewhere = replace(weights, path="/elsewhere")
    assert pretrained_step(elsewhere, SMALL, 3, context).key == pretrained.key
    others = [
        probe_step(config, probed_noise.suspect, context),
        probe_step(
            config,
            probed_noise.suspect,
            context,
            pretrained_step(replace(weights, sha256="0" * 64), SMALL, 3, context),
        ),
    ]
    assert len({step.key, *(other.key for other in others)}) == 3


def test_every_probe_of_an_audit_starts_from_the_weights_also_in_planted_copies(tmp_path) -> None:
    weights = written(tmp_path / "w", dict(build_model(SmallResNet(), 10, seed=0).state_dict()))
    settings = AuditSettings(weights=tmp_path / "w", power=(20,))
    planned = plan_audit(Digits(), 1000, 32, settings)
    assert planned.recipe.pretrained == weights
    assert planned.choices["weights"].startswith(f"of {tmp_path / 'w'}: ")
    steps = list(with_needs([plan_recipe(planned.recipe, Store(tmp_path / "store")).split]))
    (pretrained,) = [step for step in steps if step.artifact.stage == "pretrained"]
    probes = [step for step in steps if step.artifact.stage.startswith("probe")]
    assert len(probes) == 7
    for probe in probes:
        assert pretrained.key in [need.key for need in probe.needs]


def test_weights_without_a_use_are_refused_before_the_work(tmp_path) -> None:
    written(tmp_path / "w", {"a": torch.zeros(3, 3)})
    with pytest.raises(InputError, match="leave --weights or --quick out"):
        plan_audit(Digits(), 1000, 32, AuditSettings(weights=tmp_path / "w", quick=True))
    with pytest.raises(InputError, match="nothing in"):
        plan_audit(Digits(), 1000, 32, AuditSettings(weights=tmp_path / "w"))
    with pytest.raises(InputError, match="cannot read the model file"):
        plan_audit(Digits(), 1000, 32, AuditSettings(weights=tmp_path / "gone"))
    (tmp_path / "p").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(InputError, match="pickle"):
        plan_audit(Digits(), 1000, 32, AuditSettings(weights=tmp_path / "p"))
