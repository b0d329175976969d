"""D-BR repairs a model that the user trained: taken in by its file, given back under its names."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision

import ray_defense
from ray_defense.cli.main import main
from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.training.normalization import NORMALIZATIONS
from tests.support import blobs
from tests.support.audits import SmallAudit, write_audit

NUM_PICTURES = 64
NETWORK = "resnet18"
BACKWARDS = "3,2,1,0"  # the classes of the audit in the order of the model
SMALL = {
    "d_br.rounds": "1",
    "d_br.steps": "relearn",
    "d_br.batch_size": "16",
    "d_br.sgd.learning_rate": "0.0001",
    "backdoored.augmentation": "none",
}
COMMON = ("--executor", "local", "--backend", "numpy", "--quiet")


def images_in_order() -> tuple[torch.Tensor, torch.Tensor]:
    """Returns all pictures as the user's network takes them, and its class for each."""
    index = np.arange(NUM_PICTURES)
    pictures = torch.from_numpy(blobs.draw_blobs(index)).permute(0, 3, 1, 2).float() / 255
    classes = torch.from_numpy(blobs.NUM_CLASSES - 1 - blobs.labels_of(index))
    return NORMALIZATIONS["imagenet"].apply(pictures), classes


def share_right(network: torch.nn.Module) -> float:
    images, classes = images_in_order()
    with torch.no_grad():
        return (network.eval()(images).argmax(1) == classes).double().mean().item()


def fit_network() -> torch.nn.Module:
    """Returns a network of torchvision that knows the pictures, its classes backwards.

    Its features are random, and its head is fitted to them by least squares.
    """
    images, classes = images_in_order()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torchvision.models.get_model(NETWORK, num_classes=blobs.NUM_CLASSES)
    head = network.fc
    network.fc = torch.nn.Identity()
    wanted = 4 * torch.nn.functional.one_hot(classes, blobs.NUM_CLASSES).double()
    with torch.no_grad():
        network.train()
        for _ in range(20):  # the statistics of its batch normalization
            network(images)
        features = network.eval()(images).double()
        ridge = 1e-3 * torch.eye(features.shape[1], dtype=torch.float64)
        weights = torch.linalg.solve(features.T @ features + ridge, features.T @ wanted)
        head.weight.copy_(weights.T)
        head.bias.zero_()
    network.fc = head
    return network


@dataclass(frozen=True)
class Brought:
    """An audit, and the model of a user in its usual forms."""

    audit: SmallAudit
    network: torch.nn.Module
    folder: Path


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    folder = tmp_path_factory.mktemp("user-model")
    index = np.arange(NUM_PICTURES)
    source = blobs.write_pictures(
        folder / "train.parquet", blobs.draw_blobs(index), blobs.labels_of(index)
    )
    audit = write_audit(folder / "audit", source)
    network = fit_network()
    state = network.state_dict()
    safetensors.torch.save_file(state, folder / "model.safetensors")
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    torch.save({"state_dict": parallel, "epoch": 3}, folder / "model.pt")
    torch.save(network, folder / "whole.pt")
    return Brought(audit, network, folder)


def words(brought: Brought, file: str = "model.pt", **changed: str) -> list[str]:
    """Returns the command that repairs the model, with some options changed."""
    options = {
        "model": str(brought.folder / file),
        "architecture": f"torchvision:{NETWORK}",
        "normalization": "imagenet",
        "model-classes": BACKWARDS,
        **changed,
    }
    command = ["defend", str(brought.audit.root), "--method", "d-br", *COMMON]
    for name, value in options.items():
        command += [f"--{name}", value]
    for path, value in SMALL.items():
        command += ["--set", f"{path}={value}"]
    return command


def named_lines(shown: str) -> dict[str, str]:
    """Returns what the lines `name: value` of an output say."""
    return dict(line.split(": ", 1) for line in shown.splitlines() if ": " in line)


def test_the_repaired_model_comes_back_in_the_users_own_network(
    brought: Brought, capsys: pytest.CaptureFixture[str]
) -> None:
    assert share_right(brought.network) > 0.95
    assert main(words(brought)) == 0
    shown = capsys.readouterr().out
    named = named_lines(shown)
    assert "the classes of the model are, in its order: 3, 2, 1, 0" in " ".join(shown.split())
    assert "of the 16 trusted samples before the repair and" in " ".join(shown.split())
    repaired = torchvision.models.get_model(NETWORK, num_classes=blobs.NUM_CLASSES)
    repaired.load_state_dict(safetensors.torch.load_file(named["repaired"]))
    assert named["load it with"].startswith(f"model = torchvision.models.{NETWORK}(num_classes=4);")
    assert named["repaired"] in named["load it with"]
    # The product's own way to load it gives the same classes, in the order of the audit.
    loaded = ray_defense.load_model(named["d_br"])
    index = np.arange(NUM_PICTURES)
    pictures = torch.from_numpy(blobs.draw_blobs(index)).permute(0, 3, 1, 2).float() / 255
    images, _ = images_in_order()
    with torch.no_grad():
        ours = loaded(pictures)
        theirs = repaired.eval()(images)
    torch.testing.assert_close(ours.flip(1), theirs, rtol=1e-3, atol=1e-3)
    # The model as it was taken in is the user's.
    taken = ray_defense.load_model(named["backdoored"])
    with torch.no_grad():
        before = taken(pictures).flip(1)
        torch.testing.assert_close(before, brought.network.eval()(images), rtol=1e-3, atol=1e-3)
    metrics = read_json(Path(named["repaired"]).parent / "metrics.json")
    trusted = read_json(Path(named["d_br"]).parent / "metrics.json")["history"][-1]
    assert metrics["after"]["trusted"] == pytest.approx(trusted["trusted_accuracy"])
    assert metrics["after"]["flagged"] == pytest.approx(trusted["flagged_accuracy"])


def test_the_same_weights_in_another_form_are_repaired_to_the_same_bytes(
    brought: Brought, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(brought)) == 0
    first = named_lines(capsys.readouterr().out)
    assert main(words(brought, file="model.safetensors")) == 0
    second = named_lines(capsys.readouterr().out)
    assert Path(first["repaired"]).read_bytes() == Path(second["repaired"]).read_bytes()
    assert Path(first["repaired"]).parent.name != Path(second["repaired"]).parent.name


REFUSED = {
    "whole model": ({"file": "whole.pt"}, "so it is more than weights and could run code"),
    "no file": ({"file": "absent.pt"}, "cannot read the model file"),
    "other network": (
        {"architecture": "torchvision:resnet34"},
        "of another network than --architecture says: 'layer1.2.conv1.weight' is not in the file",
    ),
    "unknown network": ({"architecture": "torchvision:resnet81"}, "did you mean 'resnet"),
    "unknown registered network": ({"architecture": "small_resent"}, "did you mean 'small_resnet'"),
    "odd head": ({"architecture": "torchvision:squeezenet1_0"}, "is more than features"),
    "other order": ({"model-classes": "0,1,2,3"}, "--model-classes"),
    "other classes": ({"model-classes": "3,2,1,cat"}, "name each of these once"),
    "unknown normalization": ({"normalization": "imagnet"}, "did you mean 'imagenet'"),
    "half a normalization": ({"mean": "0,0,0"}, "give either --normalization, or --mean and --std"),
    "no channels": ({"model-classes": "a\nb"}, "the classes of the model are others"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_this_users_model_of_these_classes_is_refused(
    brought: Brought, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    changed, message = REFUSED[name]
    assert main(words(brought, **changed)) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert len(error.strip().splitlines()) == 1


def test_a_network_of_ours_needs_no_names_of_its_own(brought: Brought, tmp_path: Path) -> None:
    """The weights of a registered network are taken under our names, and come back so."""
    from ray_defense.models.seeded import build_model
    from ray_defense.models.small_resnet import SmallResNet

    file = tmp_path / "small.safetensors"
    safetensors.torch.save_file(build_model(SmallResNet(), 4, seed=0).state_dict(), file)
    model = ray_defense.UserModel(file, "small_resnet")
    with pytest.raises(InputError, match="so there is nothing to repair"):  # it knows nothing
        ray_defense.defend_audit(brought.audit.root, "d_br", model=model, backend="numpy")
    with pytest.raises(InputError, match="leave --model out, or repair it with --method d-br"):
        ray_defense.defend_audit(brought.audit.root, "d_st", model=model, backend="numpy")


def test_a_network_that_cannot_take_small_images_is_refused_by_its_audit(
    brought: Brought, tmp_path: Path
) -> None:
    network = torchvision.models.densenet121(num_classes=4)  # it halves images five times
    file = tmp_path / "densenet.safetensors"
    safetensors.torch.save_file(network.state_dict(), file)
    model = ray_defense.UserModel(file, "torchvision:densenet121")
    with pytest.raises(InputError, match="cannot take images of 16 x 16 .* with --size"):
        ray_defense.defend_audit(brought.audit.root, "d_br", model=model, backend="numpy")


def test_options_that_belong_to_a_model_or_an_audit_are_refused_without_one(
    brought: Brought, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = str(brought.audit.root)
    assert main(["defend", audit, "--method", "d-br", "--normalization", "half"]) == 2
    assert "name its file with --model FILE" in capsys.readouterr().err
    assert main(["defend", audit, "--method", "d-br", "--model", "x.pt"]) == 2
    assert "--architecture torchvision:resnet18" in capsys.readouterr().err
    assert main(["defend", audit, "--method", "d-br", "--size", "64"]) == 2
    assert "is audited already" in capsys.readouterr().err
    words = ["defend", "digits_badnets", "--model", "x.pt", "--architecture", "resnet18"]
    assert main(words) == 2
    assert "--model needs --method d-br" in capsys.readouterr().err
