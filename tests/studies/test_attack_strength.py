"""The strength of attacks, measured on 256 digits, one epoch a model, in this process."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense import api
from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.sig import Sig
from ray_defense.attacks.targets import AllToAll, AllToOne
from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.core.random import stream
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.local import LocalExecutor
from ray_defense.pipeline.plan import plan_dataset
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.attacker.prepared_attack import eligible_samples
from ray_defense.stages.backdoored import backdoored_step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.poison import choose_samples
from ray_defense.store.artifacts import Store
from ray_defense.store.truth import unseal
from ray_defense.studies.attack_strength import AttackStrength, measure_attacks
from tests.support import tiny

COVERED = BadNets(AllToOne(label=2, cover_ratio=0.5))
EVERYWHERE = BadNets(AllToAll(cover_ratio=1.0))


@dataclass(frozen=True)
class TooLarge(BadNets):
    """An attack whose trigger the images cannot hold."""

    def stamp(self, images_NHWC, index, phase="train", asset=None):
        raise InputError("these images cannot hold the trigger")


class CountingExecutor(LocalExecutor):
    """Notes how many jobs each call of `train_side_by_side` was given."""

    def __init__(self):
        super().__init__("numpy")
        self.bundles = []

    def train_side_by_side(self, jobs):
        self.bundles.append(len(jobs))
        super().train_side_by_side(jobs)


@dataclass(frozen=True)
class Measured:
    """The rows of two attacks that work and one that is refused, and what they were made with."""

    rows: tuple[AttackStrength, ...]
    store: Store
    bundles: list[int]  # jobs of each call of `train_side_by_side`
    kept: dict[str, Any]  # what `attacks.json` then held


def one_epoch(recipe: Recipe) -> Recipe:
    return replace(recipe, backdoored=replace(recipe.backdoored, epochs=1, milestones=()))


@pytest.fixture(scope="module")
def recipe(digits) -> Recipe:
    """The tiny recipe with one epoch."""
    return one_epoch(tiny.recipe(digits))


@pytest.fixture(scope="module")
def measured(recipe, tmp_path_factory) -> Measured:
    store = Store(tmp_path_factory.mktemp("store"))
    executor = CountingExecutor()
    rows = measure_attacks(recipe, [COVERED, TooLarge(), Sig(), COVERED], store, executor)
    kept = read_json(store.root / "attacks.json")
    return Measured(rows, store, executor.bundles, kept=kept)


def test_every_attack_has_one_row_in_order_and_a_refused_attack_its_reason(measured):
    rows = measured.rows
    assert [row.attack for row in rows] == ["badnets", "badnets", "sig"]
    reasons = [None, "these images cannot hold the trigger", None]
    assert [row.refused for row in rows] == reasons
    assert rows[1].backdoored is None
    assert rows[1].weak is None
    assert rows[1].num_poisoned == 0


def test_all_models_are_trained_in_one_call(measured):
    assert measured.bundles == [3]  # two attacks and the clean model


def test_the_rates_of_a_row_are_those_of_its_model_and_of_the_clean_model(measured):
    for row in (measured.rows[0], measured.rows[2]):
        rates = row.backdoored
        assert rates.num_clean == 64
        assert 0 < rates.num_triggered < 64
        assert 0 <= rates.asr <= 1
        assert row.acc_change == rates.acc - row.clean.acc
        assert row.weak is (rates.asr < 0.85)
        assert row.clean == measured.rows[0].clean
        assert row.clean.asr is None


def test_the_counts_of_a_row_are_those_of_the_sealed_truth(measured, recipe):
    context = PlanContext(measured.store, recipe.seed, recipe.normalization)
    suspect = plan_dataset(replace(recipe, attack=COVERED), context).step
    truth = unseal(measured.store, suspect.key)
    row = measured.rows[0]
    assert row.num_poisoned == truth.poisoned.sum()
    assert row.num_cover == truth.cover.sum()
    assert row.num_cover == row.num_poisoned // 2
    assert row.num_cover > 0
    assert measured.rows[2].num_cover == 0
    # A run would train the same model.
    assert backdoored_step(recipe.backdoored, suspect, context).artifact.exists


def test_the_rows_are_kept_as_json(measured):
    kept = measured.kept
    assert kept["recipe"] == "tiny"
    assert kept["seed"] == 0
    assert len(kept["attacks"]) == 3
    assert kept["attacks"][0]["backdoored"]["asr"] == measured.rows[0].backdoored.asr
    assert kept["attacks"][1]["refused"] == "these images cannot hold the trigger"


def test_a_second_measurement_trains_only_what_is_new(measured, recipe):
    executor = CountingExecutor()
    again = measure_attacks(recipe, [COVERED, Sig()], measured.store, executor)
    assert again == (measured.rows[0], measured.rows[2])
    assert executor.bundles == []


def test_where_all_are_refused_nothing_is_trained(recipe, tmp_path):
    executor = CountingExecutor()
    attacks = [TooLarge(), BadNets(AllToOne(label=10))]
    rows = measure_attacks(recipe, attacks, Store(tmp_path), executor)
    assert executor.bundles == []
    assert "target class 10 is not one of the 10 classes" in rows[1].refused
    assert len(read_json(tmp_path / "attacks.json")["attacks"]) == 2


def break_odd_rows(digits, folder) -> None:
    """Writes the digits to a folder; every second training image does not decode."""
    for split in ("train", "test"):
        table = pq.read_table(digits / f"{split}.parquet")
        images = table["image"].to_pylist()
        if split == "train":
            images[1::2] = [b"no image"] * len(images[1::2])
        broken = pa.table({"image": images, "label": table["label"]})
        pq.write_table(broken, folder / f"{split}.parquet")


@pytest.mark.parametrize("decodes", ["all", "even"])
def test_samples_that_do_not_decode_are_counted_in_neither(recipe, digits, tmp_path, decodes):
    folder = digits
    if decodes == "even":
        folder = tmp_path
        break_odd_rows(digits, folder)
    recipe = one_epoch(tiny.recipe(folder))
    store = Store(tmp_path / "store")
    (row,) = measure_attacks(recipe, [EVERYWHERE], store, CountingExecutor())
    context = PlanContext(store, recipe.seed, recipe.normalization)
    suspect = plan_dataset(replace(recipe, attack=EVERYWHERE), context).step
    accepted = SuspectDataset(suspect.artifact.path).index
    poisoned, cover = choose_samples(
        eligible_samples(EVERYWHERE, recipe.source),
        recipe.poison.rate,
        EVERYWHERE.target.cover_ratio,
        key=stream(recipe.poison.seed, "poison"),
    )
    assert len(poisoned) == len(cover) == 25
    assert row.num_poisoned == np.isin(poisoned, accepted).sum()
    assert row.num_cover == np.isin(cover, accepted).sum()
    if decodes == "all":
        assert row.num_poisoned == row.num_cover == 25
    else:
        assert accepted.tolist() == list(range(0, 256, 2))
        assert 0 < row.num_poisoned < 25
        assert 0 < row.num_cover < 25


def test_what_concerns_every_attack_is_refused_before_an_executor_is_started(
    recipe, tmp_path, monkeypatch
):
    def start(*arguments):
        pytest.fail("an executor was started")

    monkeypatch.setattr(api, "make_executor", start)
    without_model = replace(recipe, backdoored=None)
    with pytest.raises(InputError, match="backdoored is none: "):
        api.check_attacks(without_model, [Sig()], store=tmp_path, executor="ray")
    workers = replace(recipe.backdoored.workers, num_workers=3)
    many_workers = replace(recipe, backdoored=replace(recipe.backdoored, workers=workers))
    with pytest.raises(InputError, match="not a multiple of its 3 workers"):
        api.check_attacks(many_workers, [Sig()], store=tmp_path, executor="ray")
