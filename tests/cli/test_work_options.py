"""The options of commands that run something reach the call that does the work."""

import os
from pathlib import Path

import pytest

from ray_defense.api import configured_recipe
from ray_defense.cli.main import main
from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import WorkOptions, add_work_options, split_assignment
from ray_defense.core.config import override
from ray_defense.core.errors import InputError
from ray_defense.execution.placement import ANYWHERE, Placement
from ray_defense.pipeline.recipes import RECIPES
from tests.support.command_line import forbid_work, replace_call
from tests.support.results import make_result


def read_options(*words: str, executor: bool = True) -> WorkOptions:
    parser = CommandParser("try", "Tries.")
    parser.add_argument("recipe")
    add_work_options(parser, executor=executor)
    return WorkOptions.of(parser.parse_options(["digits_badnets", *words]))


def test_options_reach_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("RAY_DEFENSE_DATA", "elsewhere")
    monkeypatch.chdir(tmp_path)
    calls = replace_call(monkeypatch, "run", lambda recipe, **options: make_result())
    words = ["demo", "--store", "s", "--executor", "local", "--backend", "numpy"]
    words += ["--data-root", "d", "--set", "seed=5"]
    assert main(words) == 0
    assert calls.arguments == [(override(RECIPES["digits_badnets"](), "seed", 5),)]
    assert calls.options == [
        {"store": "s", "executor": "local", "backend": "numpy", "placement": ANYWHERE}
    ]
    assert os.environ["RAY_DEFENSE_DATA"] == str(tmp_path / "d")
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-2:] == [
        "report.html: /s/report.html",
        f"result.json: {tmp_path / 's' / 'result.json'}",
    ]
    assert captured.err == ""


def test_placement_takes_several_values():
    work = read_options("--placement", "actors=4", "--placement", "spread=true")
    assert work.where()["placement"] == Placement(actors=4, spread=True)
    with pytest.raises(InputError, match="did you mean 'actors'"):
        read_options("--placement", "actor=4").where()


def test_a_command_without_an_executor_has_none_of_its_options():
    assert read_options(executor=False).executor == "local"
    with pytest.raises(InputError, match="unknown option '--backend'"):
        read_options("--backend", "numpy", executor=False)


def test_a_unit_that_another_option_chose_is_not_set_again():
    work = read_options("--set", "attack.target.label=3", "--set", "seed=2")
    config = work.configured(attack="sig", source=None)
    expected = override(RECIPES["digits_badnets"](), "attack", "sig")
    expected = override(expected, "attack.target.label", 3)
    assert config == override(expected, "seed", 2)
    expected_message = "--set attack=badnets: the attack is already chosen, it is sig; leave one"
    with pytest.raises(InputError, match=expected_message):
        read_options("--set", "attack=badnets").configured(attack="sig")


def test_a_unit_and_its_fields_are_set_in_any_order():
    """`--set source.path=IN --set source=parquet` dropped the path."""
    words = ["source=parquet", "source.path=IN", "seed=1", "d_br=none", "probe.epochs=3", "seed=2"]
    in_order = read_options(*(word for text in words for word in ("--set", text))).configured()
    words[0], words[1] = words[1], words[0]
    turned = read_options(*(word for text in words for word in ("--set", text))).configured()
    assert turned == in_order
    assert turned.source.path.endswith("/IN")
    assert turned.seed == 2
    overrides = {"source.path": "IN", "source": "parquet"}
    config = configured_recipe("digits_badnets", overrides)
    assert config.source == turned.source


@pytest.mark.parametrize("text", ["a", "=b", ""])
def test_what_is_no_assignment_is_refused_with_an_example(text: str):
    assert split_assignment("--set", "a=b=c", "seed=1") == ("a", "b=c")
    with pytest.raises(InputError, match=f"--set needs KEY=VALUE, not '{text}': .* --set seed=1"):
        split_assignment("--set", text, "seed=1")


SUBMITTED_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for what `ray job submit` starts


@pytest.mark.parametrize(
    "command", [["run"], ["report"], ["sweep", "--grid", "seed=0,1", "--plan"]]
)
@pytest.mark.parametrize("store", [None, "results", "./results"])
def test_a_submitted_job_is_refused_a_store_that_would_go_with_its_code(
    command: list[str],
    store: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    forbid_work(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SUBMITTED_JOB, "{}")
    words = [command[0], "digits_badnets", *command[1:]]
    if store is not None:
        words += ["--store", store]
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert 'give an absolute path, --store "$PWD/store", or a URI' in shown.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("store", ["/results", "s3://bucket/results", "file:///results"])
def test_a_submitted_job_may_have_a_store_that_outlives_it(
    store: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(SUBMITTED_JOB, "{}")
    assert read_options("--store", store).checked_store() == store


@pytest.mark.parametrize("inside", [True, False])
def test_a_store_whose_path_is_not_utf_8_is_refused_in_one_line(
    inside: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    forbid_work(monkeypatch)
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    store = str(odd)
    if inside:
        odd.mkdir()
        monkeypatch.chdir(odd)
        store = "store"
    assert main(["run", "digits_badnets", "--store", store, "--quiet"]) == 2
    shown = capsys.readouterr().err
    assert "the path of the store is not UTF-8" in shown
    assert shown.count("\n") == 1


def test_a_printed_configuration_is_a_recipe_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main(["run", "digits_badnets", "--set", "seed=5", "--print-config"]) == 0
    printed = capsys.readouterr().out
    file = tmp_path / "recipe.json"
    file.write_text(printed)
    assert main(["detect", "--config", str(file), "--print-config"]) == 0
    assert capsys.readouterr().out == printed
    calls = replace_call(monkeypatch, "run", lambda recipe, **options: make_result())
    assert main(["run", "--config", str(file), "--set", "seed=6", "--store", str(tmp_path)]) == 0
    assert calls.arguments == [(override(RECIPES["digits_badnets"](), "seed", 6),)]


@pytest.mark.parametrize("command", ["run", "detect", "defend", "report", "sweep"])
def test_a_recipe_is_named_or_read_from_a_file_and_never_both(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    forbid_work(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("name: mine")
    assert main([command, "--executor", "local"][: 1 if command == "report" else 3]) == 2
    assert "name a recipe (see ray-defense list), or --config FILE" in capsys.readouterr().err
    assert main([command, "mine.yaml"]) == 2
    assert "is a file and no recipe: read it with --config mine.yaml" in capsys.readouterr().err
    assert main([command, "digits_badnets", "--config", "mine.yaml"]) == 2
    assert "the recipe is already chosen, it is digits_badnets" in capsys.readouterr().err
