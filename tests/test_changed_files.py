"""Files that change under a store change what is made from them, and bad requests are refused before any training."""

import os
from dataclasses import replace

import pytest
import tiny
from PIL import Image

import ray_defense
from ray_defense.attacks import AllToOne, BadNets, LabelConsistent, Trojan
from ray_defense.core.config import override
from ray_defense.core.errors import Failed, Refused
from ray_defense.core.files import read_json
from ray_defense.data.sources import SOURCES, Digits
from ray_defense.execution.local import LocalExecutor
from ray_defense.pipeline import pipeline
from ray_defense.stages import evaluation as evaluate
from ray_defense.stages import ingest as shard
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Store
from ray_defense.training.views import NORMALIZATIONS


@pytest.fixture
def folder(tmp_path):
    """An image folder of 40 digits, with a training set alone."""
    root = tmp_path / "images"
    save(root, 0, 40)
    return root


def save(root, low, high):
    batch = Digits().read("train", low, high)
    for index, image, label in zip(batch.index, batch.images, batch.labels, strict=True):
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / str(label) / f"{index}.png")


def context(tmp_path):
    return Context(Store(tmp_path / "store"), LocalExecutor("numpy"), 0, NORMALIZATIONS["half"])


def test_a_mended_file_is_read_again(folder, tmp_path):
    broken = sorted(folder.glob("*/*.png"))[17]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    source = SOURCES["image_folder"](path=str(folder))
    first = shard.run(shard.Shard(), source, context(tmp_path))
    assert read_json(first.path / "dataset.json")["num_rejected"] == 1
    broken.write_bytes(whole)
    second = shard.run(shard.Shard(), source, context(tmp_path))
    assert read_json(second.path / "dataset.json")["num_rejected"] == 0
    assert shard.run(shard.Shard(), source, context(tmp_path)) == second


@pytest.mark.parametrize("kind", ["image_folder", "parquet"])
def test_the_signature_of_a_split_changes_with_its_files_alone(kind, tmp_path):
    if kind == "parquet":
        tiny.write_digits(tmp_path, 20, 10)
    else:
        save(tmp_path / "train", 0, 40)
        save(tmp_path / "test", 0, 40)
    source = SOURCES[kind](path=str(tmp_path))
    before = source.signature("train"), source.signature("test")
    assert before == (source.signature("train"), source.signature("test"))
    touched = next(iter(sorted(tmp_path.rglob("*test*/**/*.png")) or [tmp_path / "test.parquet"]))
    os.utime(touched, ns=(1, 1))
    assert source.signature("train") == before[0] and source.signature("test") != before[1]


def test_a_test_set_that_comes_later_is_evaluated(tmp_path):
    tiny.write_digits(tmp_path, 256, 64)
    test = tmp_path / "test.parquet"
    aside = test.rename(tmp_path / "later")
    recipe = replace(tiny.recipe(tmp_path), d_br=None, d_st=None)
    without = ray_defense.run(recipe, store=tmp_path / "store", backend="numpy")
    assert without.backdoored.acc is None and without.backdoored.n_clean == 0
    aside.rename(test)
    assert ray_defense.run(recipe, store=tmp_path / "store", backend="numpy").backdoored.n_clean == 64


class Meddling(LocalExecutor):
    """Trains, and before the first time does `meddle()`: somebody else at the files of a run under way."""

    def __init__(self, meddle):
        super().__init__("numpy")
        self.meddle = [meddle]

    def train(self, jobs):
        while self.meddle:
            self.meddle.pop()()
        super().train(jobs)


def test_a_test_set_that_changes_during_a_run_is_evaluated_as_it_is_then(tmp_path):
    tiny.write_digits(tmp_path, 256, 64)
    recipe = replace(tiny.recipe(tmp_path), d_br=None, d_st=None)
    (tmp_path / "other").mkdir()
    tiny.write_digits(tmp_path / "other", 32, 32)
    meddling = Meddling(lambda: (tmp_path / "other" / "test.parquet").replace(tmp_path / "test.parquet"))
    found = pipeline.run(recipe, Store(tmp_path / "store"), meddling)
    again = pipeline.run(recipe, Store(tmp_path / "store"), LocalExecutor("numpy"))
    assert found == again and found.backdoored.n_clean == 32


def test_a_training_set_that_changes_once_it_is_poisoned_does_not_stop_a_run(tmp_path):
    tiny.write_digits(tmp_path, 256, 64)
    recipe = replace(tiny.recipe(tmp_path), backdoor=None, d_br=None, d_st=None)
    undisturbed = pipeline.run(recipe, Store(tmp_path / "a"), LocalExecutor("numpy"))
    touched = pipeline.run(recipe, Store(tmp_path / "b"), Meddling(lambda: os.utime(tmp_path / "train.parquet", ns=(1, 1))))
    assert touched.score == undisturbed.score


@pytest.mark.parametrize("attack", [LabelConsistent(), Trojan(steps=2)])
def test_a_training_set_that_changes_before_it_is_poisoned_ends_a_run_with_a_reason(attack, tmp_path):
    tiny.write_digits(tmp_path, 256, 64)
    recipe = replace(tiny.recipe(tmp_path), attack=attack, backdoor=None, d_br=None, d_st=None)
    meddling = Meddling(lambda: os.utime(tmp_path / "train.parquet", ns=(1, 1)))
    with pytest.raises(Failed, match="files of the source changed while the run was under way: run again"):
        pipeline.run(recipe, Store(tmp_path / "store"), meddling)
    assert pipeline.run(recipe, Store(tmp_path / "store"), LocalExecutor("numpy")).score.auroc is not None


def test_rejected_test_images_are_counted(folder, tmp_path):
    root = tmp_path / "both"
    root.mkdir()
    folder.rename(root / "train")
    save(root / "test", 0, 40)
    for file in sorted((root / "test").glob("*/*.png"))[:7]:
        file.write_bytes(b"not an image")
    source = SOURCES["image_folder"](path=str(root))
    item = evaluate.Measurement("x", None, (), source, 10, None, NORMALIZATIONS["half"], evaluate.Evaluate())
    from ray_defense.models import SmallResNet, build_model, save_weights

    save_weights(tmp_path / "any.safetensors", build_model(SmallResNet(), 10, 0))
    (counts,) = evaluate.measure(replace(item, model=SmallResNet(), weights=(tmp_path / "any.safetensors",)))
    assert counts["n_rejected"] == 7 and counts["n_clean"] == 33


def test_equal_images_are_not_assessable(tmp_path):
    for label in "ab":
        (tmp_path / "same" / label).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (32, 32), "orange").save(tmp_path / "same" / label / f"{number}.png")
    with pytest.raises(Refused, match="not assessable"):
        shard.run(shard.Shard(), SOURCES["image_folder"](path=str(tmp_path / "same")), context(tmp_path))


def test_folders_of_tools_are_no_classes(folder):
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "__MACOSX").mkdir()
    assert SOURCES["image_folder"](path=str(folder)).info().class_names == tuple("0123456789")


def test_one_hostile_label_does_not_make_a_thousand_classes(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    batch = Digits().read("train", 0, 100)
    images, labels = [tiny.png(image) for image in batch.images], batch.labels.copy()
    labels[5] = 999
    pq.write_table(pa.table({"image": images, "label": labels}), tmp_path / "train.parquet")
    with pytest.raises(Refused, match="num_classes"):
        SOURCES["parquet"](path=str(tmp_path)).info()
    told = SOURCES["parquet"](path=str(tmp_path), num_classes=10).read("train", 0, 100)
    assert [sample.index for sample in told.rejected] == [5] and len(told.index) == 99


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("split.poison_fraction", 0.0, "poisoned split would be empty"),
        ("split.clean_fraction", 0.001, "trusted split would be empty"),
        ("attack", BadNets(AllToOne(10)), "target"),
        ("d_br.workers.num_workers", 3, "multiple"),
    ],
)
def test_what_a_late_stage_would_refuse_is_refused_at_once(tmp_path, key, value, said):
    tiny.write_digits(tmp_path, 60, 10)
    with pytest.raises(Refused, match=said):
        pipeline.check(override(tiny.recipe(tmp_path), key, value))


def test_a_normalization_has_a_name(tmp_path):
    assert override(tiny.recipe(tmp_path), "normalization", "cifar100").normalization == NORMALIZATIONS["cifar100"]
