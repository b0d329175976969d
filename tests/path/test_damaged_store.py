"""A bit flipped anywhere in a store never gives another result without a word."""

import random
import shutil
from pathlib import Path

import pytest

import ray_defense
from ray_defense.core.errors import DamageError
from ray_defense.pipeline.recipe import Recipe
from ray_defense.store.verify import verify_store
from tests.support import tiny

# A file, and the stages after it, which are made again.
DAMAGED = {
    "ingest/*/shard-00001.beton": ("probe", "evidence", "split", "evaluation"),
    "ingest/*/manifest.parquet": ("evidence", "split", "evaluation"),
    "ingest/*/dataset.json": ("evidence", "split", "evaluation"),
    "probe/*/model.safetensors": ("evidence", "split", "evaluation"),
    "evidence/*/evidence.parquet": ("split", "evaluation"),
    "split/*/split.parquet": ("d_br", "evaluation"),
    "split/*/summary.json": ("evaluation",),
    "backdoored/*/model.safetensors": ("d_br", "evaluation"),
    "d_st/*/model.safetensors": ("evaluation",),
    "truth/*/truth.sealed": ("evaluation",),
    "evaluation/*/evaluation.json": ("report",),
    "evaluation/*/samples.parquet": ("report",),
    "evaluation/*/timing.json": (),
    "split/*/config.json": ("evaluation",),
}


@pytest.fixture(scope="module")
def recipe(digits: Path) -> Recipe:
    return tiny.recipe(digits)


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("whole")
    ray_defense.run(recipe, store=store, executor="local", backend="numpy")
    return store


def flip_bit(path: Path, seed: str) -> None:
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    position = rng.randrange(len(data))
    if path.suffix == ".beton":  # the pixels, which are most of what has a meaning
        position = 2**21 + rng.randrange(100 * 32 * 32 * 3)
    data[position] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


@pytest.mark.parametrize("pattern", DAMAGED)
def test_a_damaged_file_is_named_and_not_used(
    recipe: Recipe, whole: Path, tmp_path: Path, pattern: str
):
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    (path,) = store.glob(pattern)
    for stage in DAMAGED[pattern]:
        shutil.rmtree(store / stage)
    flip_bit(path, pattern)
    with pytest.raises(DamageError) as raised:
        ray_defense.run(recipe, store=store, executor="local", backend="numpy")
    assert str(path) in str(raised.value)
    assert "and run again" in str(raised.value)


def test_the_remedy_that_a_message_names_gives_the_same_artifacts(
    recipe: Recipe, whole: Path, tmp_path: Path
):
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    (path,) = store.glob("evidence/*/evidence.parquet")
    shutil.rmtree(store / "split")
    flip_bit(path, "remedy")
    with pytest.raises(DamageError) as raised:
        ray_defense.run(recipe, store=store, executor="local", backend="numpy")
    remove = str(raised.value).partition("remove ")[2].partition(" and run again")[0]
    shutil.rmtree(remove)
    ray_defense.run(recipe, store=store, executor="local", backend="numpy")
    split_file = next(whole.glob("split/*/split.parquet"))
    again = store / split_file.relative_to(whole)
    assert again.read_bytes() == split_file.read_bytes()
    assert verify_store(store).damages == []
