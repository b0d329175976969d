"""What the stages do to a dataset of noise: poison, shard, score, split, evaluate; all in this process."""

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ray_defense.attacks import AllToOne, BadNets, BadNetsAllToAll
from ray_defense.core.errors import Failed, Refused
from ray_defense.core.files import read_json
from ray_defense.core.random import stream, uniform
from ray_defense.data.sources import Digits, ImageFolder, Parquet
from ray_defense.data.split_table import read_split
from ray_defense.data.suspect_dataset import ShardSet, open_reader
from ray_defense.execution.local import LocalExecutor
from ray_defense.models import SmallResNet, build_model, save_weights
from ray_defense.scores import FeatureConsistency
from ray_defense.stages import decide as split
from ray_defense.stages import detect as score
from ray_defense.stages import evaluation as evaluate
from ray_defense.stages import ingest as shard
from ray_defense.stages import poison
from ray_defense.stages.attacker.material import Armed
from ray_defense.stages.context import Context
from ray_defense.stages.decide import Split
from ray_defense.stages.detect import Score, plan
from ray_defense.stages.evaluation import Evaluate, Measurement, clopper_pearson, measure, rates, split_quality
from ray_defense.stages.ingest import Shard
from ray_defense.stages.poison import Poison, Stamp, choose
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.truth import Truth, seal, unseal
from ray_defense.training.views import NORMALIZATIONS
from ray_defense.transforms import Affine, Rotate

HALF, MODEL, COUNT = NORMALIZATIONS["half"], SmallResNet(width=4), 250
DIGITS = Digits(size=16)


def make_context(root: Path, seed: int = 0) -> Context:
    return Context(Store(root), LocalExecutor(backend="numpy", device=torch.device("cpu")), seed, HALF)


def png(number: int) -> bytes:
    pixels = (256 * uniform(stream(0, "image"), np.array([number]), 16 * 16 * 3)).astype(np.uint8).reshape(16, 16, 3)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def write_parquet(path: Path, broken: dict[int, bytes], labels: dict[int, int | None], count: int = COUNT) -> Parquet:
    images = [broken.get(row, png(row)) for row in range(count)]
    label = pa.array([labels.get(row, row % 3) for row in range(count)], pa.int64())
    pq.write_table(pa.table({"image": pa.array(images, pa.binary()), "label": label}), path)
    return Parquet(str(path), size=16, num_classes=3)


def read_all(suspect: Artifact) -> tuple[ShardSet, np.ndarray]:
    """Returns the manifest and uint8 [N, H, W, 3] in its order."""
    reader = open_reader(suspect.path, "numpy")
    images = {}
    for number in np.unique(reader.shards.shard):
        rows = np.arange((reader.shards.shard == number).sum())
        for batch in reader.batches(int(number), rows, 64):
            images |= dict(zip(batch.index.tolist(), batch.images.numpy(), strict=True))
    return reader.shards, np.stack([images[index] for index in reader.shards.index.tolist()])


# poison and shard


@pytest.mark.parametrize(("rate", "count"), [(0, 0), (0.1, 8), (0.29, 23), (0.3, 24), (1, 80), (0.011, 0)])
def test_the_floor_of_the_rate_of_the_eligible_is_chosen(rate, count):
    eligible = np.arange(120) % 3 != 0
    chosen, _ = choose(eligible, rate, 0, stream(0, "poison"))
    assert len(chosen) == count == len(set(chosen.tolist()))
    assert eligible[chosen].all() and (np.diff(chosen) > 0).all()


def test_the_choice_is_a_function_of_its_key_and_grows_with_the_rate():
    eligible = np.arange(1000) % 5 != 0
    (few, _), (many, _) = (choose(eligible, rate, 0, 7) for rate in (0.1, 0.2))
    assert set(few.tolist()) < set(many.tolist())
    same, other = choose(eligible, 0.1, 0, 7)[0], choose(eligible, 0.1, 0, 8)[0]
    assert np.array_equal(few, same) and not np.array_equal(few, other)


def test_cover_samples_are_eligible_others_and_leave_the_choice_of_the_poisoned_alone():
    eligible = np.arange(120) % 3 != 0
    poisoned, cover = choose(eligible, 0.11, 2.0, 7)
    assert np.array_equal(poisoned, choose(eligible, 0.11, 0, 7)[0])
    assert (len(poisoned), len(cover)) == (8, 16) and not set(poisoned.tolist()) & set(cover.tolist())
    assert eligible[cover].all() and (np.diff(cover) > 0).all()
    with pytest.raises(Refused, match="40 poisoned and 80 cover samples are more than the 80 eligible"):
        choose(eligible, 0.5, 2.0, 7)


NONE = np.zeros(0, np.int64)


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
    changed = Stamp(Armed(BadNets(AllToOne(2))), np.array([3, 21, 24, 29]), NONE, 3)(columns)
    hit = np.isin(before["index"], [21, 24])
    assert np.array_equal(changed["image"][~hit], before["image"][~hit])
    assert np.array_equal(changed["image"][hit], BadNets().stamp(before["image"][hit], before["index"][hit]))
    assert changed["label"].tolist() == np.where(hit, 2, before["label"]).tolist()
    assert all(np.array_equal(columns[name], before[name]) for name in before)
    for untouched in (
        Stamp(Armed(BadNets()), NONE, NONE, 3)(columns),
        Stamp(Armed(BadNets()), np.array([99]), NONE, 3)(columns),
    ):
        assert all(np.array_equal(untouched[name], before[name]) for name in ("index", "image", "label", "reason"))


def test_a_cover_sample_is_stamped_as_one_and_keeps_its_label():
    columns = columns_of_noise()

    class Shift:
        aim = AllToOne(2)

        def stamp(self, images, index, phase, material):
            return images + np.uint8({"train": 1, "cover": 2}[phase])

    changed = Stamp(Armed(Shift()), np.array([21]), np.array([24, 29]), 3)(columns)
    assert (changed["image"] - columns["image"]).max(axis=(1, 2, 3)).tolist() == [0, 1, 0, 0, 2, 0, 0, 0, 0, 2]
    assert changed["label"].tolist() == [0, 2, 2, 0, 1, 2, 0, 1, 2, 0]


def test_a_poisoned_dataset_does_not_tell_the_true_class_in_a_path():
    columns = columns_of_noise()
    columns["origin"][:2] = "train/dog/1.png", "train/cat/2.png"
    changed = Stamp(Armed(BadNets()), np.array([20]), NONE, 3)(columns)
    assert changed["origin"].tolist() == [f"row {index}" for index in range(20, 30)]


@pytest.mark.parametrize("bad_label", [9, None])
def test_the_suspect_dataset_differs_from_the_source_where_the_truth_says_so_and_nowhere_else(tmp_path, bad_label):
    source = write_parquet(tmp_path / "train.parquet", {7: b"no image"}, {61: bad_label})
    context, attack = make_context(tmp_path / "store"), BadNets(AllToOne(1))
    suspect = poison.run(Poison(0.2), Shard(60), source, Armed(attack), context)
    shards, images = read_all(suspect)
    expected = np.delete(np.arange(COUNT), [7, 61])
    assert np.array_equal(shards.index, expected) and shards.num_shards == 5
    clean = source.read("train", 0, COUNT)
    truth = unseal(context.store, suspect.key)
    assert np.array_equal(truth.index, expected) and np.array_equal(truth.true_label, clean.labels)
    assert truth.poisoned.sum() in range(31, 34)  # 20 % of 166, less at most the two rejected
    assert not (truth.poisoned & (clean.labels == 1)).any()
    stamped = attack.stamp(clean.images, clean.index)
    assert np.array_equal(images, np.where(truth.poisoned[:, None, None, None], stamped, clean.images))
    assert np.array_equal(shards.labels, np.where(truth.poisoned, 1, clean.labels))
    rejected = pq.read_table(suspect.path / "rejected.parquet").to_pylist()
    assert [(row["index"], row["origin"]) for row in rejected] == [(7, "row 7"), (61, "row 61")]
    assert "image" in rejected[0]["reason"] and "not in 0..2" in rejected[1]["reason"]
    about = read_json(suspect.path / "dataset.json")
    assert (about["num_samples"], about["num_rejected"], about["num_classes"]) == (248, 2, 3)
    assert any("2 of 250 samples were rejected" in note for note in about["notes"])


def test_the_truth_is_apart_from_the_dataset_and_its_owner_s_alone(tmp_path):
    source = write_parquet(tmp_path / "train.parquet", {}, {}, 60)
    context = make_context(tmp_path / "store")
    suspect = poison.run(Poison(), Shard(), source, Armed(BadNets()), context)
    (file,) = (tmp_path / "store").rglob("truth*.parquet")
    assert suspect.path not in file.parents and file.stat().st_mode & 0o777 == 0o600
    about = " ".join(path.name for path in suspect.path.rglob("*"))
    assert "truth" not in about and "poison" not in about


def test_a_dataset_that_nobody_poisoned_for_us_is_the_source_and_has_no_truth(tmp_path):
    for number in range(40):
        folder = tmp_path / "images" / "train" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02d}.png").write_bytes(png(number) if number != 21 else b"GIF89a")
    source, context = ImageFolder(str(tmp_path / "images"), size=16), make_context(tmp_path / "store")
    suspect = shard.run(Shard(10), source, context)
    shards, images = read_all(suspect)
    clean = source.read("train", 0, 40)
    assert np.array_equal(shards.index, clean.index) and len(clean.index) == 39
    assert np.array_equal(images, clean.images) and np.array_equal(shards.labels, clean.labels)
    (rejected,) = pq.read_table(suspect.path / "rejected.parquet").to_pylist()
    assert rejected["origin"] == "train/a/21.png" and rejected["reason"]
    assert not list((tmp_path / "store").rglob("truth*"))
    with pytest.raises(Refused, match="no sealed truth"):
        unseal(context.store, suspect.key)


def test_more_than_one_in_a_hundred_invalid_labels_are_refused(tmp_path):
    source = write_parquet(tmp_path / "train.parquet", {}, {1: 9, 2: None, 3: 9})
    context = make_context(tmp_path / "store")
    for run in (
        lambda: shard.run(Shard(), source, context),
        lambda: poison.run(Poison(), Shard(), source, Armed(BadNets()), context),
    ):
        with pytest.raises(Refused, match="3 of 250 labels are outside 0..2"):
            run()
    assert not list((tmp_path / "store").rglob("manifest.parquet"))


def test_a_range_without_one_good_sample_is_left_out(tmp_path):
    source = write_parquet(tmp_path / "train.parquet", {row: b"" for row in (20, 21, 22, 23, 40)}, {}, 41)
    shards, images = read_all(shard.run(Shard(4), source, make_context(tmp_path / "store")))
    assert np.array_equal(shards.index, np.delete(np.arange(41), [20, 21, 22, 23, 40]))
    assert np.array_equal(images, source.read("train", 0, 41).images)


def test_a_source_without_one_good_sample_is_refused(tmp_path):
    source = write_parquet(tmp_path / "train.parquet", {row: b"" for row in range(9)}, {}, 9)
    with pytest.raises(Refused, match="all 9 samples were rejected, the first because: "):
        shard.run(Shard(4), source, make_context(tmp_path / "store"))


def test_a_dataset_is_the_same_to_the_byte_when_made_again_or_resumed(tmp_path):
    source = write_parquet(tmp_path / "train.parquet", {}, {}, 60)
    whole = poison.run(Poison(), Shard(20), source, Armed(BadNets()), make_context(tmp_path / "a"))
    context, made = make_context(tmp_path / "b"), []

    class Killed(LocalExecutor):
        def ingest(self, job) -> None:
            super().ingest(replace(job, ranges=job.ranges[:2]))
            raise KeyboardInterrupt

    class Watched(LocalExecutor):
        def ingest(self, job) -> None:
            made.extend(job.ranges)
            super().ingest(job)

    with pytest.raises(KeyboardInterrupt):
        poison.run(Poison(), Shard(20), source, Armed(BadNets()), replace(context, executor=Killed("numpy")))
    again = poison.run(Poison(), Shard(20), source, Armed(BadNets()), replace(context, executor=Watched("numpy")))
    assert made == [(40, 60)]
    assert again.key == whole.key and again.hashes == whole.hashes


def test_another_source_seed_or_rate_is_another_dataset(tmp_path):
    source = write_parquet(tmp_path / "train.parquet", {}, {}, 60)
    context = make_context(tmp_path / "store")
    keys = [poison.run(Poison(0.2), Shard(), source, Armed(BadNets()), context).key]
    keys.append(poison.run(Poison(0.3), Shard(), source, Armed(BadNets()), context).key)
    keys.append(poison.run(Poison(0.2), Shard(), source, Armed(BadNets()), make_context(tmp_path / "store", 1)).key)
    keys.append(shard.run(Shard(), source, context).key)
    write_parquet(tmp_path / "train.parquet", {}, {5: 1}, 60)  # the same path with other contents
    keys.append(poison.run(Poison(0.2), Shard(), source, Armed(BadNets()), context).key)
    assert len(set(keys)) == len(keys)


def test_a_rate_that_poisons_none_is_refused_and_zero_is_not(tmp_path):
    source = write_parquet(tmp_path / "train.parquet", {}, {}, 60)
    context = make_context(tmp_path / "store")
    with pytest.raises(Refused, match="poison.rate 0.001 of the 60 samples poisons none"):
        poison.run(Poison(0.001), Shard(), source, Armed(BadNets()), context)
    suspect = poison.run(Poison(0.0), Shard(), source, Armed(BadNets()), context)
    assert not unseal(context.store, suspect.key).poisoned.any()


# score


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> SimpleNamespace:
    """A dataset of noise in shards of 60 with one sample rejected, and a probe of random weights."""
    root = tmp_path_factory.mktemp("scored")
    source = write_parquet(root / "train.parquet", {7: b""}, {}, 130)
    context = make_context(root / "store")
    suspect = shard.run(Shard(60), source, context)
    probe = context.store.place("probe", 1, {}, {"suspect": suspect})
    with context.store.claim(probe):
        save_weights(probe.work / "model.safetensors", build_model(MODEL, 3, 1))
        probe.publish(0.0)
    return SimpleNamespace(context=context, suspect=suspect, probe=probe)


def run_score(scored: SimpleNamespace, config: Score) -> pa.Table:
    made = score.run(config, scored.suspect, scored.probe, MODEL, scored.context)
    return pq.read_table(made.path / "scores.parquet")


@pytest.mark.parametrize("block_size", [1, 7, 59, 60, 1000])
def test_the_blocks_cover_every_row_once_and_none_crosses_a_shard(scored, block_size):
    shards = ShardSet(scored.suspect.path)
    blocks = plan(shards, block_size)
    assert [block.number for block in blocks] == list(range(len(blocks)))
    rows = [(block.shard, row) for block in blocks for row in range(block.low, block.high)]
    assert len(set(rows)) == len(rows)
    assert set(rows) == set(zip(shards.shard.tolist(), shards.row.tolist(), strict=True))
    assert all(0 < block.high - block.low <= block_size for block in blocks)


def test_scores_have_the_same_bits_whatever_the_blocks(scored):
    tables = [run_score(scored, Score(batch_size=10, block_size=size)) for size in (10, 20, 1000)]
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2])
    assert tables[0]["index"].to_pylist() == ShardSet(scored.suspect.path).index.tolist()


@pytest.mark.parametrize(("draws", "reduce"), [(1, "mean"), (3, "mean"), (3, 0.0)])
def test_a_score_is_the_squared_distance_of_the_features_of_one_image_alone(scored, draws, reduce):
    table = run_score(scored, Score(score=FeatureConsistency(draws, reduce), batch_size=10, block_size=20))
    model = build_model(MODEL, 3, 1).double().eval()
    shards, images = read_all(scored.suspect)
    for row in (0, 6, 7, 77, 128):
        distances = []
        for draw in range(draws):
            moved = torch.from_numpy(images[row : row + 1]).permute(0, 3, 1, 2).float() / 255
            clean, key = moved, stream(0, "score", "draw", draw)
            for position, transform in enumerate((Rotate(), Affine())):
                name = stream(key, position, transform.name)
                draw_n = uniform(name, shards.index[row : row + 1], transform.num_draws)
                moved = transform.apply(moved, torch.from_numpy(draw_n).float())
            with torch.no_grad():
                f, f_tau = (model((x.double() - 0.5) / 0.5)[0][0].tolist() for x in (clean, moved))
            distances.append(sum((a - b) ** 2 for a, b in zip(f, f_tau, strict=True)))
        expected = min(distances) if reduce == 0.0 else sum(distances) / draws
        assert table["score"][row].as_py() == pytest.approx(expected, rel=1e-5)


def test_scoring_resumes_at_the_missing_blocks(scored, tmp_path):
    config, done = Score(batch_size=10, block_size=10), []
    context = replace(scored.context, store=Store(tmp_path))

    class Counting(LocalExecutor):
        def score(self, job) -> None:
            done.append(len(job.missing()))
            super().score(replace(job, blocks=job.blocks[:4]) if len(done) == 1 else job)
            if len(done) == 1:
                raise KeyboardInterrupt

    context = replace(context, executor=Counting("numpy", torch.device("cpu")))
    with pytest.raises(KeyboardInterrupt):
        score.run(config, scored.suspect, scored.probe, MODEL, context)
    made = score.run(config, scored.suspect, scored.probe, MODEL, context)
    assert done == [13, 9]
    assert pq.read_table(made.path / "scores.parquet").equals(run_score(scored, config))


def test_scores_that_are_not_finite_fail(scored, tmp_path):
    context = replace(scored.context, store=Store(tmp_path))
    probe = context.store.place("probe", 1, {}, {})
    model = build_model(MODEL, 3, 1)
    next(model.parameters()).data.fill_(torch.nan)
    with context.store.claim(probe):
        save_weights(probe.work / "model.safetensors", model)
        probe.publish(0.0)
    with pytest.raises(Failed, match="129 scores are not finite: the probe diverged"):
        score.run(Score(), scored.suspect, probe, MODEL, context)


# split


def run_split(scored: SimpleNamespace, root: Path, values: np.ndarray) -> Artifact:
    context = replace(scored.context, store=Store(root))
    scores = context.store.place("score", 1, {}, {})
    with context.store.claim(scores):
        table = pa.table({"index": ShardSet(scored.suspect.path).index, "score": values.astype(np.float64)})
        pq.write_table(table, scores.work / "scores.parquet")
        scores.publish(0.0)
    return split.run(Split(), scored.suspect, scores, context)


def test_a_split_names_the_lowest_trusted_and_the_highest_poisoned(scored, tmp_path):
    values = np.random.default_rng(0).permutation(129)
    made = run_split(scored, tmp_path, values)
    table = read_split(made.path / "split.parquet")
    shards = ShardSet(scored.suspect.path)
    assert np.array_equal(table.index, shards.index) and np.array_equal(table.score, values)
    assert table.members("trusted").tolist() == shards.index[values < 25].tolist()  # floor(0.2 * 129)
    assert table.members("poisoned").tolist() == shards.index[values >= 123].tolist()  # floor(0.05 * 129) = 6
    summary = read_json(made.path / "summary.json")
    assert [summary[f"num_{name}"] for name in ("trusted", "poisoned", "uncertain")] == [25, 6, 98]
    assert summary["trusted_class_counts"] == [int(np.sum(shards.labels[values < 25] == label)) for label in range(3)]


def test_a_trusted_split_of_one_class_is_noted(scored, tmp_path):
    labels = ShardSet(scored.suspect.path).labels
    one_class = read_json(run_split(scored, tmp_path / "a", labels + np.linspace(0, 0.5, 129)).path / "summary.json")
    assert one_class["trusted_class_counts"] == [25, 0, 0]
    assert "2 of 3 classes have less than a tenth of their share" in one_class["notes"][0]
    assert "(classes 1, 2)" in one_class["notes"][0]
    even = read_json(run_split(scored, tmp_path / "b", np.random.default_rng(0).random(129)).path / "summary.json")
    assert even["notes"] == []


def test_scores_that_are_mostly_zero_are_noted_and_all_equal_ones_refused(scored, tmp_path):
    values = np.where(np.arange(129) % 4 == 0, 1.0 + np.arange(129), 0.0)
    found = read_json(run_split(scored, tmp_path / "a", values).path / "summary.json")["notes"]
    assert len(found) == 1 and found[0].startswith("74% of the scores are exactly 0: the probe's features have collapsed")
    with pytest.raises(Refused, match="not assessable: all 129 scores equal 0.5"):
        run_split(scored, tmp_path / "b", np.full(129, 0.5))


def test_notes_do_not_blame_a_class_that_nobody_has():
    assert split.notes(np.array([10, 10, 0]), np.array([50, 50, 0]), np.ones(100)) == []
    assert split.notes(np.zeros(2, int), np.array([50, 50]), np.ones(100)) == []


# evaluate


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),  # the table of Clopper and Pearson (1934), four digits
        (10, 10, 0.6915, 1.0),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (0, 1, 0.0, 0.975),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(successes, trials, low, high):
    assert clopper_pearson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_what_was_not_counted_has_no_rate():
    nothing = rates({})
    assert {nothing[name] for name in ("acc", "asr", "acc_interval", "asr_interval", "acc_target_excluded")} == {None}
    assert nothing["n_clean"] == nothing["n_triggered"] == 0
    clean_only = rates({"right": 3, "right_outside": 0, "hit": 0, "n_clean": 4, "n_triggered": 0})
    assert clean_only["acc"] == 0.75 and clean_only["asr"] is clean_only["asr_interval"] is None


def test_rates_are_shares_of_what_was_counted():
    found = rates({"right": 90, "right_outside": 72, "hit": 8, "n_clean": 100, "n_triggered": 80})
    assert (found["acc"], found["acc_target_excluded"], found["asr"]) == (0.9, 0.9, 0.1)
    assert found["acc_interval"] == clopper_pearson(90, 100) and found["asr_interval"] == clopper_pearson(8, 80)


def quality(score_: list[float], split_: list[str], poisoned: list[bool] | None) -> dict[str, float | None]:
    columns = {"index": list(range(len(score_))), "score": score_, "split": split_}
    return split_quality(pa.table(columns | ({} if poisoned is None else {"poisoned": poisoned})))


def test_the_quality_of_a_split_is_auroc_and_two_precisions():
    names, truth = ["trusted", "trusted", "uncertain", "uncertain", "poisoned"], [False, True, False, False, True]
    pairs = [(0.2, 0.1), (0.2, 0.3), (0.2, 0.4), (0.5, 0.1), (0.5, 0.3), (0.5, 0.4)]  # poisoned against clean
    auroc = np.mean([a > b for a, b in pairs])
    found = quality([0.1, 0.2, 0.3, 0.4, 0.5], names, truth)
    assert found == pytest.approx({"auroc": auroc, "trusted_precision": 0.5, "poisoned_precision": 1.0})


def test_the_quality_is_unknown_without_truth_poison_or_members():
    nothing = {"auroc": None, "trusted_precision": None, "poisoned_precision": None}
    assert quality([0.1, 0.2], ["trusted", "poisoned"], None) == nothing
    clean = quality([0.1, 0.2], ["trusted", "poisoned"], [False, False])
    assert clean == {"auroc": None, "trusted_precision": 1.0, "poisoned_precision": 0.0}
    assert quality([0.1, 0.2], ["uncertain", "uncertain"], [False, True]) == nothing | {"auroc": 1.0}


@pytest.fixture(scope="module")
def constant(tmp_path_factory) -> Path:
    """Weights of a model that takes everything for class 0."""
    model = build_model(MODEL, 10, 0)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([1.0] + [0.0] * 9))
    path = tmp_path_factory.mktemp("weights") / "constant.safetensors"
    save_weights(path, model)
    return path


@pytest.mark.parametrize(
    ("attack", "victims", "wanted"),
    [
        (None, lambda y: y < 0, lambda y: y),
        (BadNets(AllToOne(0)), lambda y: y != 0, lambda y: 0 * y),
        (BadNets(AllToOne(3)), lambda y: y != 3, lambda y: 0 * y + 3),
        (BadNetsAllToAll(), lambda y: y >= 0, lambda y: (y + 1) % 10),
    ],
)
def test_a_model_that_always_says_0_is_right_and_fooled_where_0_is_wanted(constant, attack, victims, wanted):
    item = Measurement(
        "x", MODEL, (constant, constant), DIGITS, 10, attack and Armed(attack), HALF, Evaluate(batch_size=100, cpus=1)
    )
    labels = DIGITS.labels("test")
    victims = victims(labels)
    expected = {
        "right": int((labels == 0).sum()),
        "right_outside": int((labels[victims] == 0).sum()),
        "hit": int((wanted(labels)[victims] == 0).sum()),
        "n_clean": len(labels),
        "n_triggered": int(victims.sum()),
        "n_rejected": 0,
    }
    assert measure(item) == [expected, expected]


def test_the_counts_of_any_model_are_those_of_one_image_at_a_time(tmp_path):
    path = tmp_path / "random.safetensors"
    model = build_model(MODEL, 10, 3).eval()
    save_weights(path, model)
    (found,) = measure(Measurement("x", MODEL, (path,), DIGITS, 10, Armed(BadNets()), HALF, Evaluate(batch_size=64, cpus=1)))
    batch, right, hit = DIGITS.read("test", 0, 10_000), 0, 0
    with torch.no_grad():
        for image, label, index in zip(batch.images, batch.labels, batch.index, strict=True):
            stamped = BadNets().stamp(image[None], np.array([index]), phase="test")[0]
            x = torch.from_numpy(np.stack((image, stamped))).permute(0, 3, 1, 2) / 255
            said = model((x - 0.5) / 0.5)[1].argmax(1).tolist()
            right += said[0] == label
            hit += label != 0 and said[1] == 0
    assert (found["right"], found["hit"]) == (right, hit)


def test_without_a_test_set_nothing_is_counted(tmp_path, constant):
    source = write_parquet(tmp_path / "train.parquet", {}, {}, 30)
    assert measure(Measurement("x", MODEL, (constant,), source, 10, Armed(BadNets()), HALF, Evaluate())) == [{}]


def test_each_sample_meets_its_own_truth(scored, tmp_path):
    made = run_split(scored, tmp_path, np.random.default_rng(0).permutation(129))
    context, index = replace(scored.context, store=Store(tmp_path)), np.arange(130)
    seal(context.store, scored.suspect.key, Truth(index, index % 11 == 0, index % 11 == 1, index % 5))
    table = evaluate.samples(scored.suspect, made, context, truth=True)
    found = table["index"].to_numpy()
    assert 7 not in found and len(found) == 129
    assert np.array_equal(table["poisoned"].to_numpy(), found % 11 == 0)
    assert np.array_equal(table["cover"].to_numpy(), found % 11 == 1)
    assert np.array_equal(table["true_label"].to_numpy(), found % 5)
    assert evaluate.samples(scored.suspect, made, context, truth=False).column_names == ["index", "score", "split"]
