"""The attacker's choice of samples, their stamping, and the truth that is sealed apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.protocol import Attack
from ray_defense.attacks.targets import AllToOne
from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.core.random import stream
from ray_defense.data.sources.protocol import Source
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import IngestJob
from ray_defense.execution.steps import Step
from ray_defense.stages.attacker.prepared_attack import PreparedAttack
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.stages.poison import PoisonConfig, StampChosen, choose_samples, poison_step
from ray_defense.store.truth import unseal
from tests.support.noise import NUM_IMAGES, read_all, write_noise
from tests.support.steps import make_step, plan_context

NOBODY = np.zeros(0, np.int64)
BADNETS = BadNets()
TENTH = PoisonConfig()
WHOLE = IngestConfig()  # all in a single shard


def poison(
    source: Source,
    context: PlanContext,
    config: PoisonConfig = TENTH,
    ingest_config: IngestConfig = WHOLE,
    attack: Attack = BADNETS,
) -> Step:
    """Returns the step of a dataset that an attack without an asset poisons."""
    return poison_step(
        config,
        ingest_config,
        source,
        attack=PreparedAttack(attack),
        asset=None,
        context=context,
    )


@pytest.mark.parametrize(
    ("rate", "count"), [(0, 0), (0.1, 8), (0.29, 23), (0.3, 24), (1, 80), (0.011, 0)]
)
def test_the_floor_of_the_rate_of_the_eligible_is_chosen(rate, count):
    eligible = np.arange(120) % 3 != 0
    chosen, _ = choose_samples(eligible, rate, 0, stream(0, "poison"))
    assert len(chosen) == count
    assert len(set(chosen.tolist())) == count
    assert eligible[chosen].all()
    assert (np.diff(chosen) > 0).all()


def test_the_choice_is_a_function_of_its_key_and_grows_with_the_rate():
    eligible = np.arange(1000) % 5 != 0
    few, _ = choose_samples(eligible, 0.1, 0, 7)
    many, _ = choose_samples(eligible, 0.2, 0, 7)
    assert set(few.tolist()) < set(many.tolist())
    same, _ = choose_samples(eligible, 0.1, 0, 7)
    other, _ = choose_samples(eligible, 0.1, 0, 8)
    assert np.array_equal(few, same)
    assert not np.array_equal(few, other)


def test_cover_samples_are_eligible_others_and_leave_the_choice_of_the_poisoned_alone():
    eligible = np.arange(120) % 3 != 0
    poisoned, cover = choose_samples(eligible, 0.11, 2.0, 7)
    without_cover, _ = choose_samples(eligible, 0.11, 0, 7)
    assert np.array_equal(poisoned, without_cover)
    assert len(poisoned) == 8
    assert len(cover) == 16
    assert not set(poisoned.tolist()) & set(cover.tolist())
    assert eligible[cover].all()
    assert (np.diff(cover) > 0).all()
    message = "40 poisoned and 80 cover samples are more than the 80 eligible"
    with pytest.raises(InputError, match=message):
        choose_samples(eligible, 0.5, 2.0, 7)


def columns_of_noise() -> dict[str, np.ndarray]:
    """Returns what is read of the indices 20 to 29."""
    return {
        "index": np.arange(20, 30),
        "image": np.random.default_rng(0).integers(0, 255, (10, 16, 16, 3), dtype=np.uint8),
        "label": np.arange(10) % 3,
        "origin": np.full(10, "", object),
        "reason": np.full(10, "", object),
    }


def test_only_chosen_accepted_samples_are_stamped():
    columns = columns_of_noise()
    columns["reason"][9] = "corrupt"
    before = {name: np.array(column) for name, column in columns.items()}
    attack = PreparedAttack(BadNets(AllToOne(2)))
    changed = StampChosen(attack, np.array([3, 21, 24, 29]), NOBODY, 3)(columns)
    is_hit = np.isin(before["index"], [21, 24])
    stamped = BadNets().stamp(before["image"][is_hit], before["index"][is_hit])
    assert np.array_equal(changed["image"][~is_hit], before["image"][~is_hit])
    assert np.array_equal(changed["image"][is_hit], stamped)
    assert changed["label"].tolist() == np.where(is_hit, 2, before["label"]).tolist()
    for name, column in before.items():
        assert np.array_equal(columns[name], column)


@pytest.mark.parametrize("poisoned", [[], [99]])
def test_a_range_without_a_chosen_sample_is_left_as_it_is(poisoned):
    columns = columns_of_noise()
    columns["reason"][9] = "corrupt"
    attack = PreparedAttack(BadNets())
    unchanged = StampChosen(attack, np.array(poisoned, np.int64), NOBODY, 3)(columns)
    for name in ("index", "image", "label", "reason"):
        assert np.array_equal(unchanged[name], columns[name])


class ShiftByPhase:
    """An attack that adds 1 to the pixels of poisoned samples and 2 to those of cover samples."""

    target = AllToOne(2)

    def stamp(self, images, index, phase, asset):
        return images + np.uint8({"train": 1, "cover": 2}[phase])


def test_a_cover_sample_is_stamped_as_a_cover_sample_and_keeps_its_label():
    columns = columns_of_noise()
    attack = PreparedAttack(ShiftByPhase())
    changed = StampChosen(attack, np.array([21]), np.array([24, 29]), 3)(columns)
    shift = (changed["image"] - columns["image"]).max(axis=(1, 2, 3))
    assert shift.tolist() == [0, 1, 0, 0, 2, 0, 0, 0, 0, 2]
    assert changed["label"].tolist() == [0, 2, 2, 0, 1, 2, 0, 1, 2, 0]


def test_a_poisoned_dataset_does_not_tell_the_true_class_in_a_path():
    columns = columns_of_noise()
    columns["origin"][:2] = ["train/dog/1.png", "train/cat/2.png"]
    changed = StampChosen(PreparedAttack(BadNets()), np.array([20]), NOBODY, 3)(columns)
    assert changed["origin"].tolist() == [f"row {index}" for index in range(20, 30)]


@pytest.mark.parametrize("bad_label", [9, None])
def test_the_suspect_dataset_differs_from_the_source_where_the_truth_says_so_and_nowhere_else(
    tmp_path, bad_label
):
    source = write_noise(tmp_path / "train.parquet", {7: b"no image"}, {61: bad_label})
    context = plan_context(tmp_path / "store")
    attack = BadNets(AllToOne(1))
    step = poison(source, context, PoisonConfig(0.2), IngestConfig(60), attack)
    suspect = make_step(step, context)
    dataset, images = read_all(suspect)
    accepted = np.delete(np.arange(NUM_IMAGES), [7, 61])
    assert np.array_equal(dataset.index, accepted)
    assert dataset.num_shards == 5
    clean = source.read("train", 0, NUM_IMAGES)
    truth = unseal(context.store, suspect.key)
    assert np.array_equal(truth.index, accepted)
    assert np.array_equal(truth.true_label, clean.labels)
    assert truth.poisoned.sum() in range(31, 34)  # 20 % of 166, less at most the two rejected
    assert not (truth.poisoned & (clean.labels == 1)).any()
    stamped = attack.stamp(clean.images, clean.index)
    is_poisoned = truth.poisoned[:, None, None, None]
    assert np.array_equal(images, np.where(is_poisoned, stamped, clean.images))
    assert np.array_equal(dataset.labels, np.where(truth.poisoned, 1, clean.labels))
    check_tables(suspect.path)


def check_tables(directory: Path) -> None:
    """Asserts what is told of the rejected rows 7 and 61."""
    rejected = pq.read_table(directory / "rejected.parquet").to_pylist()
    assert [row["index"] for row in rejected] == [7, 61]
    assert [row["origin"] for row in rejected] == ["row 7", "row 61"]
    assert "image" in rejected[0]["reason"]
    assert "not in 0..2" in rejected[1]["reason"]
    description = read_json(directory / "dataset.json")
    assert description["num_samples"] == 248
    assert description["num_rejected"] == 2
    assert description["num_classes"] == 3
    assert any("2 of 250 samples were rejected" in note for note in description["notes"])


def test_the_truth_is_apart_from_the_dataset_and_for_its_owner_alone(tmp_path):
    source = write_noise(tmp_path / "train.parquet", count=60)
    context = plan_context(tmp_path / "store")
    suspect = make_step(poison(source, context), context)
    (file,) = (tmp_path / "store").rglob("truth*.sealed")
    assert suspect.path not in file.parents
    assert file.stat().st_mode & 0o777 == 0o600
    names = " ".join(path.name for path in suspect.path.rglob("*"))
    assert "truth" not in names
    assert "poison" not in names


def test_more_than_one_in_a_hundred_invalid_labels_are_refused(tmp_path):
    source = write_noise(tmp_path / "train.parquet", labels={1: 9, 2: None, 3: 9})
    context = plan_context(tmp_path / "store")
    with pytest.raises(InputError, match=r"3 of 250 labels are outside 0..2"):
        make_step(poison(source, context), context)
    assert not list((tmp_path / "store").rglob("manifest.parquet"))


class KilledAfterTwoRanges(LocalExecutor):
    def ingest(self, job: IngestJob) -> None:
        super().ingest(replace(job, ranges=job.ranges[:2]))
        raise KeyboardInterrupt


class RecordingRanges(LocalExecutor):
    """Keeps the ranges that it was given."""

    def __init__(self):
        super().__init__("numpy")
        self.ranges = []

    def ingest(self, job: IngestJob) -> None:
        self.ranges.extend(job.ranges)
        super().ingest(job)


def test_a_dataset_is_the_same_to_the_byte_when_made_again_or_resumed(tmp_path):
    source = write_noise(tmp_path / "train.parquet", count=60)
    one_context = plan_context(tmp_path / "a")
    whole = make_step(poison(source, one_context, ingest_config=IngestConfig(20)), one_context)
    context = plan_context(tmp_path / "b")
    step = poison(source, context, ingest_config=IngestConfig(20))
    with pytest.raises(KeyboardInterrupt):
        make_step(step, context, KilledAfterTwoRanges("numpy"))
    executor = RecordingRanges()
    resumed = make_step(step, context, executor)
    assert executor.ranges == [(40, 60)]
    assert resumed.key == whole.key
    assert resumed.hashes == whole.hashes


def test_another_source_seed_or_rate_is_another_dataset(tmp_path):
    source = write_noise(tmp_path / "train.parquet", count=60)
    context = plan_context(tmp_path / "store")
    steps = [
        poison(source, context, PoisonConfig(0.2)),
        poison(source, context, PoisonConfig(0.3)),
        poison(source, context, PoisonConfig(0.2, seed=1)),
        ingest_step(IngestConfig(), source, context),
    ]
    for step in steps:
        make_step(step, context)
    # The same path with other contents.
    write_noise(tmp_path / "train.parquet", labels={5: 1}, count=60)
    steps.append(poison(source, context, PoisonConfig(0.2)))
    make_step(steps[-1], context)
    assert len({step.key for step in steps}) == len(steps)


def test_the_seed_of_a_run_does_not_change_what_the_attacker_draws(tmp_path):
    source = write_noise(tmp_path / "train.parquet", count=60)
    steps = []
    for seed in (0, 1):
        steps.append(poison(source, plan_context(tmp_path / "store", seed)))
    assert steps[0].key == steps[1].key


def test_another_seed_of_the_attacker_poisons_other_samples(tmp_path):
    source = write_noise(tmp_path / "train.parquet", count=60)
    context = plan_context(tmp_path / "store")
    poisoned = []
    for seed in (0, 1):
        suspect = make_step(poison(source, context, PoisonConfig(seed=seed)), context)
        truth = unseal(context.store, suspect.key)
        poisoned.append(truth.index[truth.poisoned].tolist())
    assert poisoned[0] != poisoned[1]


def test_a_rate_that_poisons_no_sample_is_refused_and_zero_is_not(tmp_path):
    source = write_noise(tmp_path / "train.parquet", count=60)
    context = plan_context(tmp_path / "store")
    with pytest.raises(InputError, match=r"poison.rate 0.001 of the 60 samples poisons none"):
        make_step(poison(source, context, PoisonConfig(0.001)), context)
    suspect = make_step(poison(source, context, PoisonConfig(0.0)), context)
    assert not unseal(context.store, suspect.key).poisoned.any()
