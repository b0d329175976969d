"""Attacks checked on 256 digits, one epoch a model, in this process."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import tiny

from ray_defense import api
from ray_defense.attacks import AllToAll, AllToOne, BadNets, Sig
from ray_defense.core.errors import Refused
from ray_defense.core.files import read_json
from ray_defense.execution.local import LocalExecutor
from ray_defense.stages import backdoored as backdoor
from ray_defense.stages import poison
from ray_defense.stages.attacker.material import Armed
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Store
from ray_defense.store.truth import unseal
from ray_defense.studies import attack_strength as attack_check

COVERED = BadNets(AllToOne(target=2, cover_ratio=0.5))


@dataclass(frozen=True)
class TooLarge(BadNets):
    """An attack whose trigger the images cannot hold."""

    def stamp(self, images_NHWC, index, phase="train", material=None):
        raise Refused("these images cannot hold the trigger")


class CountingExecutor(LocalExecutor):
    """Notes how many jobs each call of `train` was given."""

    def __init__(self):
        super().__init__("numpy")
        self.bundles = []

    def train(self, jobs):
        self.bundles.append(len(jobs))
        super().train(jobs)


@pytest.fixture(scope="module")
def recipe(digits):
    """The tiny recipe with one epoch."""
    base = tiny.recipe(digits)
    return replace(base, backdoor=replace(base.backdoor, epochs=1, milestones=()))


@pytest.fixture(scope="module")
def checked(recipe, tmp_path_factory):
    """The rows of two attacks that work and one that is refused, the store and the executor."""
    store, executor = Store(tmp_path_factory.mktemp("store")), CountingExecutor()
    return attack_check.run(recipe, [COVERED, TooLarge(), Sig(), COVERED], store, executor), store, executor


def test_every_attack_has_one_row_in_order_and_a_refused_one_its_reason(checked):
    rows, _, _ = checked
    assert [row.attack for row in rows] == ["badnets", "badnets", "sig"]
    assert [row.refused for row in rows] == [None, "these images cannot hold the trigger", None]
    assert rows[1].backdoored is None and rows[1].weak is None and rows[1].num_poisoned == 0


def test_all_models_are_trained_in_one_call(checked):
    assert checked[2].bundles == [3]  # two attacks and the clean model


def test_the_numbers_are_those_of_the_artifacts(checked, recipe):
    rows, store, _ = checked
    for row in (rows[0], rows[2]):
        model = row.backdoored
        assert model.n_clean == 64 and 0 < model.n_triggered < 64 and 0 <= model.asr <= 1
        assert row.acc_change == model.acc - row.clean.acc and row.weak is (model.asr < 0.85)
        assert row.clean == rows[0].clean and row.clean.asr is None
    context = Context(store, LocalExecutor("numpy"), recipe.seed, recipe.normalization)
    suspect = poison.place(recipe.poison, recipe.shard, recipe.source, Armed(COVERED), context)
    truth = unseal(store, suspect.key)
    assert (rows[0].num_poisoned, rows[0].num_cover) == (truth.poisoned.sum(), truth.cover.sum())
    assert rows[0].num_cover == rows[0].num_poisoned // 2 > 0 and rows[2].num_cover == 0
    assert backdoor.job(recipe.backdoor, suspect, context).artifact.exists  # what `run` would train


def test_the_rows_are_kept_as_json(checked):
    rows, store, _ = checked
    kept = read_json(store.root / "attacks.json")
    assert (kept["recipe"], kept["seed"], len(kept["attacks"])) == ("tiny", 0, 3)
    assert kept["attacks"][0]["backdoored"]["asr"] == rows[0].backdoored.asr
    assert kept["attacks"][1]["refused"] == "these images cannot hold the trigger"


def test_a_second_check_trains_only_what_is_new(checked, recipe):
    rows, store, _ = checked
    executor = CountingExecutor()
    again = attack_check.run(recipe, [COVERED, Sig()], store, executor)
    assert again == (rows[0], rows[2]) and executor.bundles == []


def test_where_all_are_refused_nothing_is_trained(recipe, tmp_path):
    executor = CountingExecutor()
    attacks = [TooLarge(), BadNets(AllToOne(target=10))]
    rows = attack_check.run(recipe, attacks, Store(tmp_path), executor)
    assert executor.bundles == [] and "target 10 is not one of the 10 classes" in rows[1].refused
    assert len(read_json(tmp_path / "attacks.json")["attacks"]) == 2


def test_samples_that_do_not_decode_are_counted_in_neither(recipe, tmp_path, monkeypatch):
    source = recipe.source
    context = Context(Store(tmp_path), LocalExecutor("numpy"), recipe.seed, recipe.normalization)
    attack = BadNets(AllToAll(cover_ratio=1.0))
    suspect = poison.run(recipe.poison, recipe.shard, source, Armed(attack), context)
    assert attack_check._counts(recipe, attack, suspect) == (25, 25)

    class Half:
        def __init__(self, path):
            self.index = np.arange(0, 256, 2)

    monkeypatch.setattr(attack_check, "ShardSet", Half)
    truth = unseal(context.store, suspect.key)
    expected = tuple(int(hit[::2].sum()) for hit in (truth.poisoned, truth.cover))
    assert attack_check._counts(recipe, attack, suspect) == expected


def test_what_concerns_every_attack_is_refused_before_an_executor_is_started(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(api, "make_executor", lambda name, backend: pytest.fail("it was started"))
    workers = replace(recipe.backdoor.workers, num_workers=3)
    with pytest.raises(Refused, match="backdoor is none: "):
        api.check(replace(recipe, backdoor=None), [Sig()], store=tmp_path, executor="ray")
    with pytest.raises(Refused, match="not a multiple of its 3 workers"):
        api.check(replace(recipe, backdoor=replace(recipe.backdoor, workers=workers)), [Sig()], store=tmp_path, executor="ray")
