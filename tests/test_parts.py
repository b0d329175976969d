"""Parts of the path on their own: defended models without a look at the answers, the report alone, and throughput."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from ray_defense import api
from ray_defense.core.config import to_plain
from ray_defense.core.errors import Refused
from ray_defense.core.files import write_json
from ray_defense.stages import evaluation as evaluate
from ray_defense.store.artifacts import Artifact


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Digits whose test set nobody can read yet."""
    folder = tmp_path_factory.mktemp("digits")
    tiny.write_digits(folder)
    (folder / "test.parquet").rename(folder / "hidden")
    (folder / "test.parquet").write_bytes(b"PAR1 is how this begins and all that it has of Parquet")
    return folder


@pytest.fixture(scope="module")
def defended(folder, tmp_path_factory):
    """The store of a recipe that was only defended, and what that returned."""
    store = tmp_path_factory.mktemp("defended")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "unseal", lambda *arguments: pytest.fail("the truth was opened"))
        return store, api.defend(tiny.recipe(folder), store=store, backend="numpy")


@pytest.fixture
def made(monkeypatch):
    """The stages published from here on."""
    made, publish = [], Artifact.publish
    monkeypatch.setattr(Artifact, "publish", lambda self, seconds: (made.append(self.stage), publish(self, seconds)))
    return made


def test_defending_counts_every_sample_and_leaves_a_split_and_three_models(defended):
    store, found = defended
    assert found.counts == {"trusted": 51, "poisoned": 12, "uncertain": 193}
    assert list(found.files) == ["split", "backdoored", "d_br", "d_st"]
    assert all(Path(path).is_file() and Path(path).is_relative_to(store) for path in found.files.values())
    assert not (store / "evaluation").exists() and not (store / "report").exists() and not (store / "result.json").exists()


def test_a_report_of_what_is_not_evaluated_is_refused_with_the_command_that_makes_it(folder, defended, made):
    with pytest.raises(Refused, match="not hold the evaluation of this tiny: .* ray-defense run tiny and the same options"):
        api.report(tiny.recipe(folder), store=defended[0])
    with pytest.raises(Refused, match="not hold the score"):  # the first of several that are missing
        api.report(replace(tiny.recipe(folder), score=replace(tiny.recipe(folder).score, batch_size=50)), store=defended[0])
    assert made == []


def test_a_run_goes_on_from_what_was_defended_and_a_report_can_be_written_again(folder, defended, made):
    store = defended[0]
    shutil.copy(folder / "hidden", folder / "test.parquet")
    first = api.run(tiny.recipe(folder), store=store, backend="numpy")
    assert made == ["evaluation", "report"]
    shutil.rmtree(store / "report")
    (store / "result.json").unlink()
    again = api.report(tiny.recipe(folder), store=store)
    assert made == ["evaluation", "report", "report"]
    assert replace(again, seconds=first.seconds) == first
    assert json.loads((store / "result.json").read_text()) == json.loads(json.dumps(to_plain(again)))
    assert Path(again.report).read_text().startswith("<!DOCTYPE html>")


def test_throughput_counts_images_by_epochs_and_views_and_leaves_only_its_numbers(folder, tmp_path):
    recipe = tiny.recipe(folder)
    found = api.benchmark(recipe, store=tmp_path, backend="numpy", repeats=2)
    assert (found.ingest.images, found.probe.images, found.scoring.images) == (256, 256 * 3, 256 * 2)
    for pace in (found.ingest, found.probe, found.scoring):
        assert len(pace.seconds) == 2
        assert pace.images_per_s == [pace.images / seconds for seconds in pace.seconds]
    assert found.num_actors == found.room.nodes == 1
    assert 4 * found.num_parameters < found.checkpoint_bytes < 20 * found.num_parameters  # weights and momenta
    assert found.shard_bytes_per_sample > 32 * 32 * 3
    assert [path.name for path in tmp_path.iterdir()] == ["benchmark.json"]
    write_json(tmp_path / "expected", found)
    assert (tmp_path / "benchmark.json").read_bytes() == (tmp_path / "expected").read_bytes()


def test_throughput_measured_less_than_once_is_refused(folder, tmp_path):
    with pytest.raises(Refused, match="repeats"):
        api.benchmark(tiny.recipe(folder), store=tmp_path, repeats=0)
    assert not list(tmp_path.iterdir())
