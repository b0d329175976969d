"""The trace of a score over the probe's epochs: kept epochs, scores, signs that see no truth, and what the truth says."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.core.errors import Failed, Refused
from ray_defense.core.files import read_json
from ray_defense.data.suspect_dataset import ShardSet, open_reader
from ray_defense.execution.local import LocalExecutor, LocalWorker
from ray_defense.models import build_model, load_weights, save_weights
from ray_defense.scores import (
    FeatureConsistency,
    class_balance,
    effective_rank,
    feature_norm,
    score_signs,
    separation,
    split_by_score,
    starved_classes,
)
from ray_defense.stages import detect as score
from ray_defense.stages import poison, probe
from ray_defense.stages.attacker.material import Armed
from ray_defense.stages.context import Context, train_missing
from ray_defense.stages.decide import Split
from ray_defense.stages.evaluation import judge_trace
from ray_defense.stages.probe import kept_epochs
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.truth import Truth, seal, unseal
from ray_defense.studies import score_trace as trace
from ray_defense.training.views import NORMALIZATIONS

LAST = 2  # epochs of L_intra
SPLIT = Split(0.2, 0.1)


def make_context(root: Path) -> Context:
    return Context(Store(root), LocalExecutor("numpy", torch.device("cpu")), 0, NORMALIZATIONS["half"])


@pytest.fixture(scope="module")
def made(digits, tmp_path_factory) -> SimpleNamespace:
    """A poisoned dataset, a probe that kept its epochs, and its trace."""
    recipe, context = tiny.recipe(digits), make_context(tmp_path_factory.mktemp("trace"))
    suspect = poison.run(recipe.poison, recipe.shard, recipe.source, Armed(recipe.attack), context)
    config = replace(recipe.probe, intra_epochs=LAST, keep_epochs=True)
    kept = train(config, suspect, context)
    traced = trace.run(recipe.score, SPLIT, suspect, kept, config.model, context)
    return SimpleNamespace(context=context, suspect=suspect, config=config, score=recipe.score, probe=kept, trace=traced)


@pytest.fixture(scope="module")
def plain(made) -> list[Artifact]:
    """Probes trained apart with 0, 1, ... epochs of L_intra that kept none."""
    configs = [replace(made.config, intra_epochs=number, keep_epochs=False) for number in range(LAST + 1)]
    return [train(config, made.suspect, made.context) for config in configs]


def train(config: probe.Probe, suspect: Artifact, context: Context) -> Artifact:
    job = probe.job(config, suspect, context)
    train_missing(context, [job])
    return job.artifact


def scores_of(traced: Artifact) -> dict[int, np.ndarray]:
    table = pq.read_table(traced.path / "scores.parquet")
    epochs = table["epoch"].to_numpy()
    return {int(epoch): table["score"].to_numpy()[epochs == epoch] for epoch in np.unique(epochs)}


# the probe's epochs


def test_a_kept_epoch_is_the_probe_trained_for_that_many_epochs_to_the_byte(made, plain):
    epochs = kept_epochs(made.probe)
    assert [path.name for path in epochs.values()] == ["00.safetensors", "01.safetensors", "02.safetensors"]
    for number, alone in enumerate(plain):
        assert epochs[number].read_bytes() == (alone.path / "model.safetensors").read_bytes()
        assert number == 0 or epochs[number].read_bytes() != epochs[number - 1].read_bytes()
    for name in ("model.safetensors", "metrics.json"):
        assert (made.probe.path / name).read_bytes() == (plain[LAST].path / name).read_bytes()


@pytest.mark.parametrize("lost", [2, 3])
def test_a_probe_killed_before_an_epochs_checkpoint_ends_with_the_same_files(made, tmp_path, monkeypatch, lost):
    context, saved = replace(made.context, store=Store(tmp_path)), []
    save = LocalWorker.save

    def killed(self, state) -> None:
        saved.append(len(state["history"]))
        if saved[-1] == lost:
            raise KeyboardInterrupt
        save(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(LocalWorker, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train(made.config, made.suspect, context)
    work = probe.job(made.config, made.suspect, context).artifact.work
    assert (work / "epochs" / f"{lost - 2:02d}.safetensors").exists() and saved[-1] == lost
    assert train(made.config, made.suspect, context).hashes == made.probe.hashes


def test_a_probe_without_epochs_is_refused_with_the_remedy(made, plain):
    with pytest.raises(Refused, match="kept no epochs: train it with --set probe.keep_epochs=true"):
        trace.run(made.score, SPLIT, made.suspect, plain[LAST], made.config.model, made.context)


# the trace's scores


def test_the_scores_of_every_epoch_are_those_of_the_score_stage_to_the_bit(made, plain):
    found, model = scores_of(made.trace), made.config.model
    assert list(found) == [0, 1, 2]
    table = pq.read_table(made.trace.path / "scores.parquet")
    assert table["index"].to_pylist() == ShardSet(made.suspect.path).index.tolist() * 3
    for probed, epoch in [*zip(plain, found, strict=True), (made.probe, LAST)]:
        alone = score.run(made.score, made.suspect, probed, model, made.context)
        wanted = pq.read_table(alone.path / "scores.parquet")["score"].to_numpy()
        assert wanted.tobytes() == found[epoch].tobytes()
    assert len({values.tobytes() for values in found.values()}) == 3


def test_many_draws_give_the_score_stages_scores_too(made):
    config = replace(made.score, score=FeatureConsistency(3, 0.0))
    traced = trace.run(config, SPLIT, made.suspect, made.probe, made.config.model, made.context)
    alone = score.run(config, made.suspect, made.probe, made.config.model, made.context)
    wanted = pq.read_table(alone.path / "scores.parquet")["score"].to_numpy()
    assert scores_of(traced)[LAST].tobytes() == wanted.tobytes()


@pytest.mark.parametrize("block_size", [25, 1000])
def test_a_trace_has_the_same_bytes_whatever_the_blocks(made, block_size, tmp_path):
    context = replace(made.context, store=Store(tmp_path))
    config = replace(made.score, block_size=block_size)
    traced = trace.run(config, SPLIT, made.suspect, made.probe, made.config.model, context)
    assert traced.key != made.trace.key and traced.hashes == made.trace.hashes


def test_a_killed_trace_resumes_at_the_missing_blocks(made, tmp_path):
    done = []

    class Counting(LocalExecutor):
        def score(self, job) -> None:
            done.append(len(job.missing()))
            super().score(replace(job, blocks=job.blocks[:2]) if len(done) == 1 else job)
            if len(done) == 1:
                raise KeyboardInterrupt

    executor = Counting("numpy", torch.device("cpu"))
    context = replace(made.context, store=Store(tmp_path), executor=executor)
    arguments = made.score, SPLIT, made.suspect, made.probe, made.config.model, context
    with pytest.raises(KeyboardInterrupt):
        trace.run(*arguments)
    traced = trace.run(*arguments)
    assert done == [6, 4] and traced.hashes == made.trace.hashes
    assert trace.run(*arguments) == traced and len(done) == 2


def test_every_image_is_moved_once_for_all_epochs(made, tmp_path, monkeypatch):
    moved, apply_all = [], score.apply_all
    monkeypatch.setattr(score, "apply_all", lambda *arguments: (moved.extend(arguments[3]), apply_all(*arguments))[1])
    context = replace(made.context, store=Store(tmp_path))
    trace.run(made.score, SPLIT, made.suspect, made.probe, made.config.model, context)
    assert sorted(moved) == ShardSet(made.suspect.path).index.tolist()


def test_an_epoch_that_diverged_is_named(made, tmp_path):
    context = replace(made.context, store=Store(tmp_path))
    probed = context.store.place("probe", 1, {}, {"suspect": made.suspect})
    with context.store.claim(probed):
        (probed.work / "epochs").mkdir()
        for number in (0, 1):
            model = build_model(made.config.model, 10, 0)
            if number:
                next(model.parameters()).data.fill_(torch.nan)
            save_weights(probed.work / "epochs" / f"{number:02d}.safetensors", model)
        probed.publish(0.0)
    with pytest.raises(Failed, match="256 scores are not finite after epoch 1 of L_intra: the probe diverged"):
        trace.run(made.score, SPLIT, made.suspect, probed, made.config.model, context)


# signs, as loops


def entropy_loop(weights: list[float]) -> float:
    total = math.fsum(weights)
    return -math.fsum(weight / total * math.log(weight / total) for weight in weights if weight > 0)


def separation_loop(scores: list[float]) -> float:
    mean = math.fsum(scores) / len(scores)
    values = sorted(math.log1p(value / mean) for value in scores) if mean else scores
    mean = math.fsum(values) / len(values)
    total = math.fsum((value - mean) ** 2 for value in values) / len(values)
    best = 0.0
    for cut in sorted(set(values))[1:]:
        low, high = [v for v in values if v < cut], [v for v in values if v >= cut]
        gap = math.fsum(high) / len(high) - math.fsum(low) / len(low)
        best = max(best, len(low) * len(high) / len(values) ** 2 * gap**2 / total)
    return best


def signs_loop(scores: list[float], labels: list[int], clean: int, poison: int, num_classes: int) -> dict:
    order = sorted(range(len(scores)), key=lambda position: (scores[position], position))
    trusted, poisoned = order[:clean], order[len(scores) - poison :]
    whole, in_trusted, in_poisoned = (Counter(labels[i] for i in those) for those in (range(len(labels)), trusted, poisoned))
    rates = [in_trusted[label] / whole[label] for label in whole]
    starved = [label for label in whole if in_trusted[label] < 0.1 * whole[label] * clean / len(scores)]
    common = min(in_poisoned, key=lambda label: (-in_poisoned[label], label))
    times = Counter(scores)
    return {
        "zero_share": times[0.0] / len(scores),
        "tie_share": sum(times[scores[i]] > 1 for i in trusted) / clean,
        "trusted_balance": entropy_loop(rates) / math.log(len(whole)) if len(whole) > 1 else 1.0,
        "trusted_starved": len(starved) / len(whole),
        "poisoned_concentration": in_poisoned[common] / poison - whole[common] / len(scores),
        "separation": separation_loop(scores),
    }


SAMPLES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.5, 2.0]) | st.floats(0.01, 100), st.integers(0, 4)), min_size=20, max_size=60
)


@given(SAMPLES)
def test_the_signs_of_scores_are_their_definitions_as_loops(samples):
    scores, labels = ([pair[axis] for pair in samples] for axis in (0, 1))
    split = split_by_score(np.array(scores), 0.2, 0.1)
    found = score_signs(np.array(scores), np.array(labels), split, 6)
    above = found.pop("separated_share")
    assert found == pytest.approx(signs_loop(scores, labels, len(scores) // 5, len(scores) // 10, 6), abs=1e-9)
    assert above * len(scores) == pytest.approx(round(above * len(scores))) and 0 <= above < 1


def test_the_signs_of_an_empty_split_are_unknown():
    scores, labels = np.arange(10.0), np.arange(10) % 2
    found = score_signs(scores, labels, split_by_score(scores, 0, 0), 2)
    unknown = ("tie_share", "trusted_balance", "trusted_starved", "poisoned_concentration")
    assert [name for name, value in found.items() if value is None] == list(unknown)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.integers(2, 9))
def test_a_part_in_proportion_is_balanced_and_one_class_is_not(part, times):
    part = np.array(part)
    balance = class_balance(part, part * times)
    if not part.any():
        return
    assert balance == pytest.approx(1) and not len(starved_classes(part, part * times))
    one = np.where(np.arange(len(part)) == part.argmax(), part, 0)
    alone = (part > 0).sum() == 1
    assert class_balance(one, part * times) == (1 if alone else 0)
    assert starved_classes(one, part * times).tolist() == [i for i in np.flatnonzero(part) if i != part.argmax()]


@given(st.lists(st.floats(0, 100), min_size=3, max_size=30), st.floats(1e-6, 1e6))
def test_a_separation_lies_between_0_and_1_and_knows_no_unit(scores, unit):
    scores = np.round(np.array(scores), 3)
    value, above = separation(scores)
    assert 0 <= value <= 1 and separation(scores * unit)[0] == pytest.approx(value, abs=1e-6)
    assert (value == 0) == (scores.min() == scores.max()) == (above == 0)


def test_two_groups_are_parted_where_they_part():
    values = np.array([0.0] * 90 + [7.0] * 10)
    assert separation(values) == pytest.approx((1.0, 0.1))
    rng = np.random.default_rng(0)
    near, far = np.exp(rng.normal(0, 0.1, 950)), np.exp(rng.normal(5, 0.1, 50))
    value, above = separation(np.concatenate((near, far)))
    assert value > 0.95 and above == 0.05
    assert separation(near)[0] == pytest.approx(2 / math.pi, abs=0.03)


def features(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def test_the_effective_rank_is_the_exponential_of_the_entropy_of_singular_values():
    f = features(40, 7) * torch.tensor([1.0, 2, 4, 8, 1, 0.1, 0.01]) + 5
    centered = f.double() - torch.tensor([math.fsum(column) / 40 for column in f.T.double().tolist()])
    squares = np.linalg.eigvalsh((centered.T @ centered).numpy())
    assert effective_rank(f) == pytest.approx(math.exp(entropy_loop(np.sqrt(squares).tolist())), rel=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_equal_orthogonal_directions_count_each_as_one_wherever_the_center_lies(rank):
    directions = torch.eye(8)[:rank]
    assert effective_rank(torch.cat((directions, -directions)) + 0.5) == pytest.approx(rank)
    assert effective_rank(100 * torch.cat((directions, -directions))) == pytest.approx(rank)


def test_collapsed_features_have_no_rank():
    assert effective_rank(torch.full((50, 8), 0.1)) == effective_rank(torch.zeros(5, 3)) == 0
    one = torch.full((50, 8), 0.1)
    one[7] = 0.2
    assert effective_rank(one) == pytest.approx(1)


def test_the_feature_norm_is_the_mean_length():
    f = features(9, 4)
    assert feature_norm(f) == pytest.approx(math.fsum(math.hypot(*row) for row in f.tolist()) / 9)


# signs of the trace


def test_every_sign_is_of_its_own_epoch_and_samples(made):
    shards, found = ShardSet(made.suspect.path), read_json(made.trace.path / "signs.json")
    reader, images = open_reader(made.suspect.path, "numpy"), {}
    for number in range(shards.num_shards):
        for batch in reader.batches(number, np.arange((shards.shard == number).sum()), 64):
            images |= dict(zip(batch.index.tolist(), batch.images, strict=True))
    x = (torch.stack([images[index] for index in shards.index.tolist()]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    labels = shards.labels.tolist()
    assert [sign["epoch"] for sign in found] == [0, 1, 2]
    for sign, (epoch, path), values in zip(found, kept_epochs(made.probe).items(), scores_of(made.trace).values(), strict=True):
        model = build_model(made.config.model, 10, 0).eval()
        load_weights(path, model)
        with torch.no_grad():
            f, logits = model(x)
        centers = [np.mean([f[i].double().numpy() for i in range(256) if labels[i] == c], axis=0) for c in range(10)]
        pairs = [(a, b) for a in range(10) for b in range(10) if a != b]
        cosines = [centers[a] @ centers[b] / np.linalg.norm(centers[a]) / np.linalg.norm(centers[b]) for a, b in pairs]
        wanted = signs_loop(values.tolist(), labels, 51, 25, 10) | {
            "epoch": epoch,
            "separated_share": separation(values)[1],
            "effective_rank": effective_rank(f),
            "feature_norm": math.fsum(math.hypot(*row) for row in f.tolist()) / 256,
            "train_accuracy": sum(int(row.argmax()) == label for row, label in zip(logits, labels, strict=True)) / 256,
            "class_similarity": math.fsum(cosines) / 100,
        }
        assert sign == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_the_drawn_samples_depend_on_seed_and_index_alone(made, tmp_path, monkeypatch):
    index = np.arange(0, 500, 2)
    few, more = (trace.draw(index, count, 3) for count in (20, 60))
    assert len(few) == 20 and set(few) < set(more) < set(index.tolist()) and (np.diff(few) > 0).all()
    assert set(trace.draw(index[:100], 20, 3)) >= set(few) & set(index[:100].tolist())
    assert set(few) != set(trace.draw(index, 20, 4)) and np.array_equal(trace.draw(index, 1000, 3), index)
    monkeypatch.setattr(trace, "DRAWN", 3)
    context = replace(made.context, store=Store(tmp_path))  # most blocks of 50 hold none of three
    traced = trace.run(made.score, SPLIT, made.suspect, made.probe, made.config.model, context)
    assert traced.hashes["scores.parquet"] == made.trace.hashes["scores.parquet"]
    for sign in read_json(traced.path / "signs.json"):
        assert 3 * sign["train_accuracy"] == pytest.approx(round(3 * sign["train_accuracy"]))
        assert sign["effective_rank"] <= 2.0001  # of three points


def test_a_trace_needs_no_truth(made, tmp_path):
    context = make_context(tmp_path)
    assert not (tmp_path / "truth").exists()
    traced = trace.run(made.score, SPLIT, made.suspect, made.probe, made.config.model, context)
    assert traced.hashes == made.trace.hashes
    with pytest.raises(Refused, match="no sealed truth"):
        judge_trace(traced, made.suspect, SPLIT, context)


# the judge


def judge_loop(scores: list[float], poisoned: list[bool], clean: int, poison: int) -> dict[str, float]:
    order = sorted(range(len(scores)), key=lambda position: (scores[position], position))
    hits, misses = ([s for s, bad in zip(scores, poisoned, strict=True) if bad is kind] for kind in (True, False))
    won = math.fsum((hit > miss) + 0.5 * (hit == miss) for hit in hits for miss in misses)
    return {
        "auroc": won / len(hits) / len(misses),
        "trusted_precision": sum(not poisoned[i] for i in order[:clean]) / clean,
        "poisoned_precision": sum(poisoned[i] for i in order[len(scores) - poison :]) / poison,
    }


def test_the_judge_says_of_every_epoch_what_loops_over_the_truth_say(made):
    known = unseal(made.context.store, made.suspect.key)
    found = judge_trace(made.trace, made.suspect, SPLIT, made.context)
    assert [one["epoch"] for one in found] == [0, 1, 2]
    for one, values in zip(found, scores_of(made.trace).values(), strict=True):
        wanted = judge_loop(values.tolist(), known.poisoned.tolist(), 51, 25)
        assert one == pytest.approx(wanted | {"epoch": one["epoch"]})


def judged(root: Path, scores: list[list[float]], index: np.ndarray, truth: Truth) -> list[dict]:
    context = make_context(root)
    suspect = context.store.place("suspect", 1, {}, {})
    traced = context.store.place("trace", 1, {}, {"suspect": suspect})
    with context.store.claim(traced):
        columns = {"epoch": np.repeat(np.arange(len(scores)), len(index)), "index": np.tile(index, len(scores))}
        pq.write_table(pa.table(columns | {"score": np.concatenate(scores)}), traced.work / "scores.parquet")
        traced.publish(0.0)
    seal(context.store, suspect.key, truth)
    return judge_trace(traced, suspect, Split(0.25, 0.25), context)


def test_cover_samples_are_not_poisoned_to_the_judge_and_each_sample_meets_its_own_truth(tmp_path):
    everyone = np.arange(0, 20, 2)
    poisoned, cover = np.isin(everyone, [4, 16]), np.isin(everyone, [6, 18])
    truth = Truth(everyone, poisoned, cover, np.zeros(10, np.int64))
    index = np.delete(everyone, [0, 5])  # 2 4 6 8 12 14 16 18
    low, high = [0.0, 5, 9, 1, 1, 1, 8, 7], [0.0] * 8
    first, second = judged(tmp_path, [low, high], index, truth)
    bad = [False, True, False, False, False, False, True, False]
    assert first == {"epoch": 0, **judge_loop(low, bad, 2, 2)} and first["poisoned_precision"] == 0.5
    assert second == {"epoch": 1, **judge_loop(high, bad, 2, 2)} and second["auroc"] == 0.5


def test_a_trace_of_another_dataset_is_refused(made):
    other = replace(made.suspect, key="0" * 16)
    with pytest.raises(Refused, match=f"is of the dataset {made.suspect.key}, not of {'0' * 16}"):
        judge_trace(made.trace, other, SPLIT, made.context)
