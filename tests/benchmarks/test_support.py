"""A study stores what it measures with its command, and an interrupted one goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import support
from benchmarks.support import ROOT, StudyRun, open_study, run_in_fresh_process
from ray_defense.core.files import read_json

MODULE = "benchmarks.example.part"


@pytest.fixture(autouse=True)
def unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for what interrupted studies keep."""
    folder = tmp_path / "unfinished"
    monkeypatch.setattr(support, "UNFINISHED", folder)
    return folder


def counted(calls: list[int]) -> Callable[[], dict[str, int]]:
    """Returns a measurement that notes its calls."""

    def measure() -> dict[str, int]:
        calls.append(1)
        return {"calls": len(calls)}

    return measure


def test_an_interrupted_study_does_not_measure_again_what_it_has(tmp_path: Path) -> None:
    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt), open_study(MODULE, ["--x"], tmp_path) as study:
        assert study.measure("first", counted(calls)) == {"calls": 1}
        raise KeyboardInterrupt
    with open_study(MODULE, ["--x"], tmp_path) as study:
        assert study.measure("first", counted(calls)) == {"calls": 1}
        assert study.measure("second", counted(calls)) == {"calls": 2}


def test_a_finished_study_measures_anew(tmp_path: Path, unfinished: Path) -> None:
    calls: list[int] = []
    for number in (1, 2):
        with open_study(MODULE, [], tmp_path) as study:
            assert study.measure("first", counted(calls)) == {"calls": number}
    assert list(unfinished.iterdir()) == []


def test_other_arguments_or_results_share_no_measurement(tmp_path: Path) -> None:
    calls: list[int] = []
    runs = [
        StudyRun(MODULE, (), tmp_path),
        StudyRun(MODULE, ("--repeats", "2"), tmp_path),
        StudyRun(MODULE, (), tmp_path / "elsewhere"),
        StudyRun("benchmarks.example", (), tmp_path),
    ]
    for number, study in enumerate(runs, start=1):
        assert study.measure("first", counted(calls)) == {"calls": number}


def test_a_stored_result_has_its_command_machine_and_versions(tmp_path: Path) -> None:
    with open_study(MODULE, ["--repeats", "2"], tmp_path) as study:
        path = study.store("name", {"seconds": 1.5})
    assert path == tmp_path / "example" / "name.json"
    result = read_json(path)
    assert result["command"] == f"python -m {MODULE} --repeats 2"
    assert result["seconds"] == 1.5
    assert result["machine"]["cores"] >= 1
    assert "python" in result["versions"]
    assert len(result["date"]) == len("2026-01-31")


@pytest.mark.parametrize(
    ("word", "recorded"),
    [
        ("/no/such/place", "DIR"),
        ("before=/no/such/place", "before=DIR"),
        (str(ROOT / "docs"), "docs"),
        ("docs", "docs"),
        ("probe.epochs=4", "probe.epochs=4"),
        ("detect.fct.tau=flip,crop;crop,flip", "'detect.fct.tau=flip,crop;crop,flip'"),
    ],
)
def test_a_recorded_command_names_no_folder_of_this_machine(
    word: str, recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert StudyRun(MODULE, (word,), ROOT).command == f"python -m {MODULE} {recorded}"


def add(first: int, second: int) -> int:
    return first + second


def test_a_fresh_process_returns_what_the_function_does() -> None:
    assert run_in_fresh_process(add, 2, 3) == 5
