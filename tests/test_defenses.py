"""What the defenses may read and must leave alone, to the bit; a dataset of 36 small images of noise."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ray_defense.core.errors import Refused
from ray_defense.core.files import read_json, write_json
from ray_defense.core.random import uniform
from ray_defense.data.split_table import SplitTable, write_split
from ray_defense.data.suspect_dataset import write_manifest, write_shard
from ray_defense.defenses import BackdoorRemoval, SecureTraining, d_br, d_st
from ray_defense.defenses.d_br import kept_round
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import TrainJob
from ray_defense.models import SmallResNet, build_model, load_weights, save_weights
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.training.loop import run_epochs
from ray_defense.training.settings import Sgd, Workers
from ray_defense.training.views import NORMALIZATIONS, view
from ray_defense.transforms import Contrastive, CropFlip, NoAugment

COUNT, CLASSES, HALF, MODEL = 36, 3, NORMALIZATIONS["half"], SmallResNet(width=4)
INDEX = 10 + 2 * np.arange(COUNT)  # position is not identity
SPLIT = np.array(["trusted"] * 14 + ["poisoned"] * 8 + ["uncertain"] * 14)[np.random.default_rng(5).permutation(COUNT)]
ONE = Workers(cpus_per_worker=1)
REMOVAL = BackdoorRemoval(rounds=2, batch_size=8, sgd=Sgd(0.02), workers=ONE)
SECURE = SecureTraining(
    MODEL,
    epochs=2,
    batch_size=12,
    sgd=Sgd(0.1),
    warmup_epochs=1,
    projection_dim=8,
    augmentation=Contrastive(),
    classifier_epochs=2,
    classifier_batch_size=8,
    classifier_sgd=Sgd(0.5, weight_decay=0.0),
    classifier_augmentation=CropFlip(),
    workers=ONE,
)


@dataclass(frozen=True)
class World:
    """One store with a suspect dataset, a backdoored model and a split."""

    root: Path
    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray

    def put(self, stage: str) -> Artifact:
        artifact = Store(self.root).place(stage, 1, {}, {})
        artifact.path.mkdir(parents=True)
        return artifact

    def train(self, program: Any, config: Any, name: str = "job", executor: LocalExecutor | None = None) -> Artifact:
        suspect, backdoored, split = (self.put(f"{name}-{stage}") for stage in ("suspect", "backdoored", "split"))
        halves = np.array_split(np.arange(COUNT), 2)
        origin = [""] * (COUNT // 2)
        parts = [write_shard(suspect.path, n, self.images[h], self.labels[h], INDEX[h], origin) for n, h in enumerate(halves)]
        write_manifest(suspect.path, parts)
        write_json(suspect.path / "dataset.json", {"num_classes": CLASSES})
        save_weights(backdoored.path / "model.safetensors", build_model(MODEL, CLASSES, 1))
        write_split(split.path / "split.parquet", SplitTable(INDEX, np.zeros(COUNT), self.split))
        store = Store(self.root)
        artifact = store.place(name, 1, config, {})
        inputs = {"suspect": suspect, "backdoored": backdoored, "split": split}
        settings = {"normalization": HALF, "model": MODEL, "augmentation": CropFlip()}
        job = TrainJob(program, config, 0, artifact, inputs, settings, config.num_epochs)
        with store.claim(artifact):
            (executor or LocalExecutor("numpy", torch.device("cpu"))).train([job])
        return artifact

    def members(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = self.split == name
        images = view(torch.from_numpy(self.images[chosen]), INDEX[chosen], 0, (), HALF)
        return images, torch.from_numpy(self.labels[chosen])


@pytest.fixture
def world(tmp_path) -> World:
    images = (256 * uniform(0, INDEX, 16 * 16 * 3)).astype(np.uint8).reshape(COUNT, 16, 16, 3)
    return World(tmp_path / "world", images, (3 * uniform(1, INDEX, 1)[:, 0]).astype(np.int64), SPLIT)


def weights(artifact: Artifact) -> dict[str, torch.Tensor]:
    model = build_model(MODEL, CLASSES, 0)
    load_weights(artifact.path / "model.safetensors", model)
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> set[str]:
    """Returns the parts (extractor, classifier) of which a bit differs."""
    assert a.keys() == b.keys()
    return {name.split(".")[0] for name in a if not torch.equal(a[name], b[name])}


def relabeled(world: World, name: str, root: Path) -> World:
    """Returns a world whose samples of one split have other labels."""
    other = (world.labels + 1 + np.arange(COUNT) % 2) % CLASSES  # not a renaming of classes, to which Eq. (2) is blind
    return replace(world, root=root, labels=np.where(world.split == name, other, world.labels))


def repainted(world: World, name: str, root: Path) -> World:
    """Returns a world whose samples of one split have other pixels."""
    return replace(
        world, root=root, images=np.where((world.split == name)[:, None, None, None], 255 - world.images, world.images)
    )


# D-BR

HISTORY = [
    {"trusted_accuracy": 0.9, "poisoned_accuracy": 0.9},
    {"trusted_accuracy": 0.8, "poisoned_accuracy": 0.1},
    {"trusted_accuracy": 0.9, "poisoned_accuracy": 0.2},
    {"trusted_accuracy": 0.1, "poisoned_accuracy": 0.0},
]


def test_the_last_round_is_kept_or_the_first_of_the_largest_gain():
    assert kept_round(HISTORY, "last") == 4
    assert kept_round(HISTORY[:2] + HISTORY[3:], "splits") == 2
    assert kept_round([HISTORY[0], HISTORY[1], HISTORY[1]], "splits") == 2


@pytest.mark.parametrize("name", ["trusted", "poisoned"])
def test_d_br_refuses_an_empty_split(world, name):
    empty = replace(world, split=np.where(world.split == name, "uncertain", world.split))
    with pytest.raises(Refused, match=f"the {name} split is empty: D-BR needs both"):
        empty.train(d_br.train, REMOVAL)


@pytest.mark.parametrize(("step", "name", "rises"), [("unlearn", "poisoned", True), ("relearn", "trusted", False)])
def test_one_step_on_a_whole_split_moves_its_loss_the_right_way(world, step, name, rises):
    config = replace(REMOVAL, rounds=1, steps=(step,), batch_size=COUNT, sgd=Sgd(1e-3, weight_decay=0.0))
    made = world.train(d_br.train, config)
    losses = []
    for state in (build_model(MODEL, CLASSES, 1).state_dict(), weights(made)):
        model = build_model(MODEL, CLASSES, 0).train()  # batch statistics, as in the step
        model.load_state_dict(state)
        images, labels = world.members(name)
        losses.append(cross_entropy(model(images)[1], labels).item())
    assert (losses[1] > losses[0]) is rises
    assert abs(losses[1] - losses[0]) > 1e-4


def test_d_br_s_first_step_is_gradient_ascent_on_the_poisoned_split(world, monkeypatch):
    """Parity: theta + rate * the gradient of the mean cross-entropy over the poisoned split (Eq. 4), by hand."""
    config = replace(REMOVAL, rounds=1, steps=("unlearn",), batch_size=COUNT, sgd=Sgd(0.05, momentum=0.0, weight_decay=0.0))
    monkeypatch.setattr(d_br, "view", lambda images, index, key, changes, normalization: view(images, index, 0, (), HALF))
    made = weights(world.train(d_br.train, config))
    model = build_model(MODEL, CLASSES, 1).train()
    images, labels = world.members("poisoned")
    cross_entropy(model(images)[1], labels).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(made[name], parameter + 0.05 * parameter.grad, atol=1e-6), name


def test_d_br_depends_on_the_two_splits_alone(world, tmp_path):
    made = weights(world.train(d_br.train, REMOVAL))
    for number, change in enumerate((relabeled, repainted)):
        assert changed(made, weights(change(world, "uncertain", tmp_path / f"u{number}").train(d_br.train, REMOVAL))) == set()
        for name in ("trusted", "poisoned"):
            other = change(world, name, tmp_path / f"{name}{number}").train(d_br.train, REMOVAL)
            assert changed(made, weights(other)) == {"extractor", "classifier"}


def test_d_br_publishes_every_round_and_the_kept_one_as_the_model(world):
    made = world.train(d_br.train, replace(REMOVAL, rounds=3, keep="splits"))
    metrics = read_json(made.path / "metrics.json")
    assert sorted(path.name for path in (made.path / "rounds").iterdir()) == [
        f"round-{number:03d}.safetensors" for number in (1, 2, 3)
    ]
    kept = metrics["kept_round"]
    assert kept == kept_round(metrics["history"], "splits")
    assert made.hashes["model.safetensors"] == made.hashes[f"rounds/round-{kept:03d}.safetensors"]
    steps = {"unlearn_loss", "relearn_loss", "trusted_accuracy", "poisoned_accuracy"}
    assert all(set(one) == steps for one in metrics["history"])


# D-ST


def test_d_st_refuses_an_empty_trusted_split(world):
    empty = replace(world, split=np.where(world.split == "trusted", "uncertain", world.split))
    with pytest.raises(Refused, match="the trusted split is empty"):
        empty.train(d_st.train, SECURE)


def test_d_st_trains_without_any_poisoned_sample(world):
    clean = replace(world, split=np.where(world.split == "poisoned", "uncertain", world.split))
    assert all(torch.isfinite(value.float()).all() for value in weights(clean.train(d_st.train, SECURE)).values())


def test_the_classifier_stage_leaves_the_extractor_and_its_buffers_as_they_are(world, tmp_path):
    short, long = (
        weights(replace(world, root=tmp_path / str(count)).train(d_st.train, replace(SECURE, classifier_epochs=count)))
        for count in (1, 3)
    )
    assert any("running_mean" in name for name in short)
    assert changed(short, long) == {"classifier"}


def test_the_contrastive_stage_trains_the_extractor_and_not_the_classifier(world, tmp_path):
    config = replace(SECURE, classifier_sgd=Sgd(0.0))
    made = [weights(replace(world, root=tmp_path / str(n)).train(d_st.train, replace(config, epochs=n))) for n in (1, 2)]
    assert changed(*made) == {"extractor"}


def test_d_st_never_reads_the_label_of_an_uncertain_sample(world, tmp_path):
    made = weights(world.train(d_st.train, SECURE))
    assert changed(made, weights(relabeled(world, "uncertain", tmp_path / "u").train(d_st.train, SECURE))) == set()
    # the two that may read labels do, so this comparison can fail: Eq. (3) reads those of poisoned samples, Eq. (2) not
    assert changed(made, weights(relabeled(world, "poisoned", tmp_path / "p").train(d_st.train, SECURE))) == {"classifier"}
    both = {"extractor", "classifier"}
    assert changed(made, weights(relabeled(world, "trusted", tmp_path / "t").train(d_st.train, SECURE))) == both
    assert changed(made, weights(repainted(world, "uncertain", tmp_path / "r").train(d_st.train, SECURE))) == both


def test_the_authors_positives_read_the_labels_of_untrusted_samples(world, tmp_path):
    config = replace(SECURE, positives="authors")  # D3: why the paper's reading is the default
    made = weights(world.train(d_st.train, config))
    assert "extractor" in changed(made, weights(relabeled(world, "uncertain", tmp_path / "u").train(d_st.train, config)))


@pytest.mark.parametrize(("module", "config", "stop"), [(d_br, REMOVAL, 1), (d_st, SECURE, 1), (d_st, SECURE, 3)])
def test_a_killed_defense_resumes_to_the_same_bits(world, tmp_path, monkeypatch, module, config, stop):
    whole = weights(replace(world, root=tmp_path / "whole").train(module.train, config))

    def killed(worker, parts, epochs):
        def die() -> dict[str, float]:
            epochs[stop]()
            raise KeyboardInterrupt

        return run_epochs(worker, parts, [*epochs[:stop], die])

    class Twice(LocalExecutor):
        def train(self, jobs) -> None:
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(module, "run_epochs", killed)
                super().train(jobs)
            super().train(jobs)

    resumed = world.train(module.train, config, executor=Twice("numpy", torch.device("cpu")))
    assert changed(whole, weights(resumed)) == set()


def test_another_augmentation_gives_another_model(world, tmp_path):
    made = weights(world.train(d_st.train, SECURE))
    plain = replace(SECURE, augmentation=NoAugment())
    assert changed(made, weights(replace(world, root=tmp_path / "a").train(d_st.train, plain))) == {
        "extractor",
        "classifier",
    }
