"""Parts of the path alone: defended models without a look at the answers, and the report."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ray_defense import api
from ray_defense.core.config import to_plain
from ray_defense.core.errors import InputError
from ray_defense.reports.result import DefendedResult
from ray_defense.store import truth
from tests.support import tiny
from tests.support.published import record_published


@dataclass(frozen=True)
class DefendedStore:
    """The store of a recipe that was only defended, and what that returned."""

    store: Path
    result: DefendedResult


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits whose test set nobody can read yet."""
    folder = tmp_path_factory.mktemp("digits")
    tiny.write_digits(folder)
    (folder / "test.parquet").rename(folder / "hidden")
    (folder / "test.parquet").write_bytes(b"PAR1 is how this begins and all that it has of Parquet")
    return folder


@pytest.fixture(scope="module")
def defended(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> DefendedStore:
    store = tmp_path_factory.mktemp("defended")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(truth, "unseal", lambda *arguments: pytest.fail("the truth was opened"))
        result = api.defend(tiny.recipe(folder), store=store, backend="numpy")
    return DefendedStore(store, result)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages published from here on."""
    return record_published(monkeypatch)


def test_defending_counts_every_sample_and_hands_out_no_model_that_learned_nothing(
    defended: DefendedStore,
):
    result = defended.result
    assert result.counts == {"trusted": 51, "flagged": 12, "uncertain": 193}
    # Two epochs teach the defended models nothing: they are named, and stay in the store.
    assert list(result.files) == ["split", "backdoored"]
    for name in ("d_br", "d_st"):
        assert any(note.startswith(f"{name} predicts only") for note in result.notes)
        assert list((defended.store / name).glob("*/model.safetensors"))
    for path in result.files.values():
        assert Path(path).is_file()
        assert Path(path).is_relative_to(defended.store)
    for name in ("evaluation", "report", "result.json"):
        assert not (defended.store / name).exists()


def test_a_report_of_what_is_not_evaluated_is_refused_with_the_command_that_makes_it(
    folder: Path, defended: DefendedStore, published: list[str]
):
    recipe = tiny.recipe(folder)
    expected = "not hold the evaluation of this tiny: .* ray-defense run tiny and the same options"
    with pytest.raises(InputError, match=expected):
        api.report(recipe, store=defended.store)
    with pytest.raises(InputError, match="not hold the evidence"):  # the first that is missing
        api.report(recipe, store=defended.store, overrides={"detect.batch_size": 50})
    assert published == []


def test_a_run_goes_on_from_what_was_defended_and_a_report_can_be_written_again(
    folder: Path, defended: DefendedStore, published: list[str]
):
    store = defended.store
    shutil.copy(folder / "hidden", folder / "test.parquet")
    first = api.run(tiny.recipe(folder), store=store, backend="numpy")
    assert published == ["evaluation", "report"]
    shutil.rmtree(store / "report")
    (store / "result.json").unlink()
    again = api.report(tiny.recipe(folder), store=store)
    assert published == ["evaluation", "report", "report"]
    assert replace(again, seconds=first.seconds) == first
    stored = json.loads((store / "result.json").read_text())
    assert stored == json.loads(json.dumps(to_plain(again)))
    assert Path(again.report).read_text().startswith("<!DOCTYPE html>")
