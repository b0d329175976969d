"""The same path on a local Ray: the same bytes, whatever the number of actors, and after a kill."""

import os
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
from test_path import hashes

import ray_defense
from ray_defense.core.files import read_json
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import Room
from ray_defense.stages import detect as score
from ray_defense.stages import ingest as shard
from ray_defense.stages import probe
from ray_defense.stages.context import Context, train_missing
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.sweeps import asha as halving
from ray_defense.sweeps import sweep
from ray_defense.sweeps.grid import Axis, grid, parse_axis
from ray_defense.sweeps.search import Search
from ray_defense.training.settings import Workers

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def ray():
    from ray_defense.cluster import RayExecutor

    executor = RayExecutor("numpy")
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests
    yield ray
    executor.close()


@pytest.fixture(scope="module")
def on_ray(ray, digits, tmp_path_factory):
    return ray_defense.run(tiny.recipe(digits), store=tmp_path_factory.mktemp("ray"), executor="ray", backend="auto")


def context(store: Path, executor, digits: Path) -> Context:
    return Context(Store(store), executor, 0, tiny.recipe(digits).normalization)


def test_ray_and_local_give_the_same_bytes(on_ray, digits, tmp_path):
    local = ray_defense.run(tiny.recipe(digits), store=tmp_path, executor="local", backend="numpy")
    assert hashes(on_ray) == hashes(local)
    assert on_ray.d_br == local.d_br and on_ray.score == local.score


def test_one_actor_gives_the_bytes_of_two(ray, on_ray, digits, tmp_path):
    from ray_defense.cluster import RayExecutor

    recipe = tiny.recipe(digits)
    one = context(tmp_path, RayExecutor("numpy", Placement(actors=1)), digits)
    suspect, probed = (stage_of(on_ray, name) for name in ("suspect", "probe"))
    scores = score.run(recipe.score, suspect, probed, recipe.probe.model, one)
    assert scores.hashes == stage_of(on_ray, "score").hashes


def stage_of(result, stage: str):
    path = Path(result.artifacts[stage])
    record = read_json(path / "config.json")
    return Artifact(stage, record["key"], path, record["config"], record["inputs"])


def test_shards_as_a_ray_dataset_hold_every_sample_once(ray, on_ray, digits):
    from ray_defense.cluster import read_shards

    rows = read_shards(on_ray.artifacts["suspect"]).take_all()
    index = np.array([row["index"] for row in rows])
    images = np.stack([row["image"] for row in rows])[np.argsort(index)]
    assert np.array_equal(np.sort(index), np.arange(256))
    clean = tiny.recipe(digits).source.read("train", 0, 256)
    changed = (images != clean.images).any((1, 2, 3))
    labels = np.array([row["label"] for row in rows])[np.argsort(index)]
    assert images.dtype == np.uint8 and 0 < changed.sum() <= 0.1 * 256
    assert np.array_equal(labels[~changed], clean.labels[~changed]) and (labels[changed] == 0).all()


def killed_once(marker: Path, worker, job) -> None:
    """The probe's program in a process that is killed after its second epoch, the first time."""
    save = worker.save

    def save_and_die(state):
        save(state)
        if len(state["history"]) == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    worker.save = save_and_die
    probe.train(worker, job)


def test_a_killed_train_worker_resumes_to_the_same_bytes(ray, on_ray, digits, tmp_path):
    from ray_defense.cluster import RayExecutor

    here = context(tmp_path, RayExecutor("numpy"), digits)
    job = probe.job(tiny.recipe(digits).probe, stage_of(on_ray, "suspect"), here)
    marker = tmp_path / "killed"
    train_missing(here, [replace(job, program=partial(killed_once, marker))])
    assert marker.exists()
    assert job.artifact.hashes == stage_of(on_ray, "probe").hashes


def test_two_workers_train_one_model(ray, digits, tmp_path):
    """Two DDP workers on gloo run every stage; batch statistics differ from one worker's, so only sanity is checked."""
    recipe = tiny.recipe(digits, num_workers=2)
    result = ray_defense.run(recipe, store=tmp_path, executor="ray", backend="numpy")
    history = read_json(Path(result.artifacts["d_st"]) / "metrics.json")["history"]
    assert len(history) == 4 and all(np.isfinite(list(epoch.values())).all() for epoch in history)
    assert hashes(result)["probe"] != {}


def test_an_error_of_a_stage_on_ray_is_the_error_itself(ray, tmp_path):
    from ray_defense.cluster import RayExecutor
    from ray_defense.core.errors import Refused
    from ray_defense.data.sources import SOURCES

    here = Context(Store(tmp_path), RayExecutor("numpy"), 0, None)
    with pytest.raises(Refused, match="absent"):
        shard.run(shard.Shard(), SOURCES["parquet"](path=str(tmp_path / "absent")), here)
    with pytest.raises(Refused, match="too big"):
        here.executor.map(refuse, [1])


def refuse(item):
    from ray_defense.core.errors import Refused

    raise Refused("too big")


def test_local_and_ray_executors_have_the_same_methods():
    from ray_defense.cluster import RayExecutor
    from ray_defense.execution.protocols import Executor

    methods = {name for name, value in vars(Executor).items() if callable(value) and not name.startswith("_")}
    assert methods >= {"check_store", "ingest", "train", "score", "map", "room", "sweep", "close"}
    for name in methods:
        assert callable(getattr(RayExecutor, name)) and callable(getattr(LocalExecutor, name))


def test_the_room_on_ray_is_what_its_nodes_have_and_placement_wants(ray):
    from ray_defense.cluster import RayExecutor

    cpus, gpus = (int(ray.cluster_resources().get(kind, 0)) for kind in ("CPU", "GPU"))
    assert RayExecutor("numpy").room(1) == Room(1, cpus, gpus, gpus or cpus)
    assert RayExecutor("numpy", Placement(actors=3)).room(1).actors == 3


class DyingScorer(score.Scorer):
    """A scorer whose process is killed in the middle of block 2, once."""

    def __call__(self, block):
        marker = self.job.artifact.path.parents[1] / "killed"
        if block.number == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().__call__(block)


def test_a_killed_actor_costs_its_blocks_and_changes_no_byte(ray, on_ray, digits, tmp_path, monkeypatch):
    from ray_defense.cluster import RayExecutor

    recipe = tiny.recipe(digits)
    monkeypatch.setattr(score, "Scorer", DyingScorer)
    here = context(tmp_path, RayExecutor("numpy", Placement(actors=2)), digits)
    suspect, probed = (stage_of(on_ray, name) for name in ("suspect", "probe"))
    scores = score.run(recipe.score, suspect, probed, recipe.probe.model, here)
    assert (tmp_path / "killed").exists()
    assert scores.hashes == stage_of(on_ray, "score").hashes


def failing_write(columns):
    raise OSError(28, "No space left on device")


def test_errors_of_ray_data_and_of_actors_are_the_errors_themselves(ray, on_ray, digits, tmp_path, monkeypatch):
    from ray_defense.cluster import RayExecutor
    from ray_defense.core.errors import Refused
    from ray_defense.execution.protocols import IngestJob

    executor = RayExecutor("numpy", Placement(actors=1))
    source = tiny.recipe(digits).source
    with pytest.raises(OSError, match="No space left") as full:
        executor.ingest(IngestJob([(0, 50)], shard.ReadRange(source), shard.unchanged, failing_write))
    assert full.value.errno == 28
    with pytest.raises(Refused, match="^too big$"):
        executor.ingest(IngestJob([(0, 50)], shard.ReadRange(source), refuse, shard.unchanged))
    suspect, probed = (stage_of(on_ray, name) for name in ("suspect", "probe"))
    lost = replace(probed, path=tmp_path / "lost")
    recipe = tiny.recipe(digits)
    with pytest.raises(Refused, match="lost"):
        score.run(recipe.score, suspect, lost, recipe.probe.model, context(tmp_path, executor, digits))


def test_more_workers_than_fit_are_refused_at_once(ray, on_ray, digits, tmp_path):
    from ray_defense.cluster import RayExecutor
    from ray_defense.core.errors import Refused

    here = context(tmp_path, RayExecutor("numpy"), digits)
    config = replace(tiny.recipe(digits).probe, workers=Workers(num_workers=64, cpus_per_worker=1))
    with pytest.raises(Refused, match="wants 64 workers"):
        train_missing(here, [probe.job(config, stage_of(on_ray, "suspect"), here)])


def test_an_error_of_ours_is_not_trained_again(ray, on_ray, digits, tmp_path):
    from ray_defense.cluster import RayExecutor
    from ray_defense.core.errors import Refused

    here = context(tmp_path, RayExecutor("numpy"), digits)
    job = probe.job(tiny.recipe(digits).probe, stage_of(on_ray, "suspect"), here)
    other = probe.job(replace(tiny.recipe(digits).probe, epochs=1), stage_of(on_ray, "suspect"), here)
    with pytest.raises(Refused, match="^call 1$"):
        train_missing(here, [other, replace(job, program=partial(refuse_call, tmp_path / "calls"))])
    assert (tmp_path / "calls").read_text() == "1"
    assert other.artifact.exists and not other.artifact.work.exists()  # what was finished before is published whole
    assert [path for path in (tmp_path / "ray-train").iterdir()] == []


def refuse_call(counter: Path, worker, job) -> None:
    from ray_defense.core.errors import Refused

    calls = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(calls))
    raise Refused(f"call {calls}")


def first_time(marker: Path, run, trial, executor) -> None:
    """Kills the process of trial 1 when it comes there first."""
    if trial.number == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    run(trial, executor)


@pytest.mark.chaos
def test_a_sweep_on_ray_gives_the_table_of_a_local_one_though_a_trial_is_killed(ray, digits, tmp_path):
    from ray_defense.cluster import RayExecutor

    class Killing(RayExecutor):
        def sweep(self, job):
            super().sweep(replace(job, run=partial(first_time, tmp_path / "killed", job.run)))

    base = replace(tiny.recipe(digits), backdoor=None, d_br=None, d_st=None)
    axes = [parse_axis("score.tau=rotate,affine;flip,erase"), Axis("seed", ("0", "1"))]
    trials = grid(base, axes)
    made = sweep.run(base, trials, Store(tmp_path / "ray"), Killing("numpy"))
    local = sweep.run(base, trials, Store(tmp_path / "local"), LocalExecutor("numpy"))
    assert (tmp_path / "killed").exists() and made.hashes == local.hashes
    assert not (made.path / "scratch").exists()


@pytest.mark.long
def test_a_trial_whose_training_wants_two_workers_gets_them(ray, digits, tmp_path):
    from ray_defense.cluster import RayExecutor

    base = replace(tiny.recipe(digits), backdoor=None, d_br=None, d_st=None)
    trials = grid(base, [Axis("probe.workers.num_workers", ("2",))])
    (row,) = pq.read_table(sweep.run(base, trials, Store(tmp_path), RayExecutor("numpy")).path / "table.parquet").to_pylist()
    assert row["auroc"] is not None and row["refused"] is None


def test_ray_stops_a_trial_that_does_worse_and_a_later_run_goes_on_where_it_stopped(ray, digits, tmp_path):
    from ray_defense.cluster import RayExecutor

    base = replace(tiny.recipe(digits), backdoor=None, d_br=None, d_st=None)
    base = replace(base, probe=replace(base.probe, epochs=8))
    axes = [Axis("probe.sgd.learning_rate", ("0.05", "1e-06", "1e-07", "1e-08")), Axis("split.clean_fraction", ("0.2", "0.4"))]
    trials, store, way = grid(base, axes), Store(tmp_path / "ray"), halving.parse("probe.loss")
    made = sweep.run(base, trials, store, RayExecutor("numpy"), way)
    rows = pq.read_table(made.path / "table.parquet").to_pylist()
    stopped = [row["trial"] for row in rows if row["stopped"]]
    assert stopped and not {0, 1} & set(stopped)  # the best is never stopped, nor who shares its probe
    assert all(row["auroc"] is None and "epoch" in row["stopped"] for row in rows if row["stopped"])
    assert len(list(store.root.glob("probe/*.work/scratch/checkpoint.pt"))) == len(stopped) / 2
    alone = sweep.run(base, trials, Store(tmp_path / "local"), LocalExecutor("numpy"))
    whole = pq.read_table(alone.path / "table.parquet").to_pylist()
    assert [row for row in rows if not row["stopped"]] == [row for row in whole if row["trial"] not in stopped]
    again = sweep.run(base, trials, store, LocalExecutor("numpy"))  # without ASHA, in the same store
    assert again.hashes == alone.hashes


@pytest.mark.long
def test_a_search_on_ray_asks_for_what_a_local_one_does(ray, digits, tmp_path):
    from ray_defense.cluster import RayExecutor

    base = replace(tiny.recipe(digits), backdoor=None, d_br=None, d_st=None)
    trials = grid(base, [parse_axis("score.tau=rotate,affine;flip,erase;affine,blur"), Axis("seed", ("0", "1"))])
    way = Search(4, "poisoned_concentration", "max", batch=2)
    made = sweep.run(base, trials, Store(tmp_path / "ray"), RayExecutor("numpy"), way)
    assert made.hashes == sweep.run(base, trials, Store(tmp_path / "local"), LocalExecutor("numpy"), way).hashes
