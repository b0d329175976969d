"""The command line: names, exit codes, the configuration it prints, the table; the runs themselves are replaced."""

import errno
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from ray_defense import api
from ray_defense.attacks import ATTACKS
from ray_defense.cli import doctor, listing
from ray_defense.cli.bars import bars
from ray_defense.cli.inert import inert
from ray_defense.cli.main import main
from ray_defense.cli.table import render
from ray_defense.core import progress
from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import Failed, Refused
from ray_defense.recipes import RECIPES
from ray_defense.stages.result import ModelResult, Result, ScoreResult

NOTHING = ModelResult(None, None, 0, 0, None, None, None)
GOOD = ModelResult(0.981, 0.006, 397, 360, [0.9623, 0.99], [0.0, 0.02], 0.98)


def make_result(*, truth: bool = True, recipe: str = "digits_badnets", notes: tuple[str, ...] = ()) -> Result:
    score = ScoreResult(0.998, 1.0, 0.95, [20, 31]) if truth else ScoreResult(None, None, None, [20, 31])
    model = GOOD if truth else NOTHING
    seconds = {"suspect": 1.04, "probe": 20.0}
    return Result(
        recipe, 0, score, model, model, None, seconds, {"split": "/s/split/k"}, "/s/report.html", {}, list(notes)
    )


def text(result: Result, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(render(result))
    return console.file.getvalue()


def python(*argv: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, timeout=60)


@pytest.fixture
def run_is(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Puts a function in the place of the run."""
    return lambda function: monkeypatch.setattr(api, "run", function)


def raising(error: BaseException) -> Callable:
    def run(*args: object, **kwargs: object) -> Result:
        raise error

    return run


def test_help_answers_at_once() -> None:
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        done = python("-m", "ray_defense", "run", "--help")
        spent.append(time.perf_counter() - start)
        assert done.returncode == 0 and "--set KEY=VALUE" in done.stdout
    assert statistics.median(spent) < 1.0


def test_parsing_loads_nothing_heavy() -> None:
    code = (
        "import sys, ray_defense.cli.main, ray_defense.cli.options as o; o.parse(['run', 'x', '--set', 'a=b']);"
        "print([name for name in ('torch', 'ray', 'numpy', 'sklearn', 'ffcv', 'rich') if name in sys.modules])"
    )
    assert python("-c", code).stdout == "[]\n"


@pytest.mark.parametrize(
    "argv, said",
    [
        ((), "name a command: run, demo, list, doctor"),
        (("rum",), "unknown command 'rum': did you mean 'run'?"),
        (("run",), "recipe"),
        (("run", "digits_badnet"), "unknown recipe 'digits_badnet': did you mean 'digits_badnets'?"),
        (("demo", "--sett", "a=b"), "unknown option '--sett': did you mean '--set'?"),
        (("demo", "--verbose"), "unknown option '--verbose'"),
        (("demo", "--executor", "rey"), "invalid choice: 'rey' (choose from 'ray', 'local')"),
        (("demo", "more"), "unrecognized arguments: more"),
        (("demo", "--set", "probe.epocs=3"), "unknown configuration key (in probe) 'epocs': did you mean 'epochs'?"),
        (("demo", "--set", "attack=badnet"), "unknown attack 'badnet': did you mean 'badnets'?"),
        (("demo", "--set", "probe.epochs"), "--set needs KEY=VALUE, not 'probe.epochs'"),
        (("demo", "--set", "probe.epochs=many"), "probe.epochs must be int, not 'many'"),
        (("list", "--quiet"), "unknown option '--quiet'"),
    ],
)
def test_what_is_unknown_is_refused_in_one_line(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture, run_is: Callable
) -> None:
    run_is(raising(AssertionError("it ran")))
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ray-defense: ") and said in err and err.count("\n") == 1


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_printed_configuration_is_what_would_run(
    recipe: str, capsys: pytest.CaptureFixture, run_is: Callable
) -> None:
    run_is(raising(AssertionError("it ran")))
    argv = ("run", recipe, "--set", "probe.epochs=3", "--set=d_st=none", "--set", "score.tau=flip,blur")
    assert main((*argv, "--print-config")) == 0
    expected = RECIPES[recipe]()
    for key, value in {"probe.epochs": 3, "d_st": None, "score.tau": "flip,blur"}.items():
        expected = override(expected, key, value)
    assert json.loads(capsys.readouterr().out) == to_plain(expected)


def test_options_reach_the_run(
    run_is: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked = {}
    monkeypatch.setenv("RAY_DEFENSE_DATA", "elsewhere")
    monkeypatch.chdir(tmp_path)
    run_is(lambda config, **options: asked.update(options, config=config) or make_result())
    argv = ["demo", "--store", "s", "--executor", "local", "--backend", "numpy", "--data-root", "d", "--set", "seed=5"]
    assert main(argv) == 0
    assert asked.pop("config") == override(RECIPES["digits_badnets"](), "seed", 5)
    assert asked == {"store": "s", "executor": "local", "backend": "numpy"}
    assert os.environ["RAY_DEFENSE_DATA"] == str(tmp_path / "d")
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == ["report.html: /s/report.html", f"result.json: {tmp_path / 's' / 'result.json'}"]
    assert err == ""


def test_a_path_is_never_broken_over_lines(run_is: Callable, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    run_is(lambda config, **options: make_result(truth=False))
    store = str(tmp_path / ("x" * 150))
    assert main(["demo", "--store", store]) == 0
    out = capsys.readouterr().out
    assert f"result.json: {store}/result.json\n" in out
    assert "candidates, not finds (split = poisoned): /s/split/k/split.parquet\n" in out


@pytest.mark.parametrize(
    "error, code, said",
    [
        (Refused("no such folder"), 2, "no such folder"),
        (Failed("two\nlines \x1b[31m"), 3, r"two\nlines \x1b[31m"),
        (OSError(errno.ENOSPC, "No space left on device", "/s"), 3, "No space left on device: '/s'"),
        (KeyboardInterrupt(), 130, "the same command resumes"),
        (SystemExit(0), 130, "the same command resumes"),
        (SystemExit(signal.SIGTERM), 143, "the same command resumes"),
    ],
)
def test_the_exit_code_says_how_it_ended(
    error: BaseException, code: int, said: str, run_is: Callable, capsys: pytest.CaptureFixture
) -> None:
    run_is(raising(error))
    assert main(["demo"]) == code
    err = capsys.readouterr().err
    assert err.startswith("ray-defense: ") and said in err and err.count("\n") == 1


def test_an_unforeseen_error_keeps_its_traceback(run_is: Callable, capsys: pytest.CaptureFixture) -> None:
    run_is(raising(RuntimeError("surprise")))
    assert main(["demo"]) == 3
    assert "RuntimeError: surprise" in capsys.readouterr().err


def test_sigterm_ends_a_run_with_143_and_its_handler_goes(run_is: Callable) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def run(*args: object, **kwargs: object) -> Result:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return make_result()

    run_is(run)
    assert main(["demo"]) == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_list_names_every_recipe_and_attack(capsys: pytest.CaptureFixture) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*RECIPES, *ATTACKS, *listing.UNITS))
    assert "The demo: scikit-learn's digits" in out


WORKING = doctor.Probe("part", "print('fine')", "install it", True)
BROKEN = doctor.Probe("other", "raise ImportError('no \\x1b[31m library')", "install other", False)


def test_doctor_is_content_without_what_is_not_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(doctor, "PROBES", (WORKING, BROKEN))
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "torch" in out and "CPU cores" in out and "fine" in out
    assert r"missing (ImportError: no \x1b[31m library): install other" in out


def test_doctor_refuses_without_what_is_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    needed = doctor.Probe("Ray", "import os; os.abort()", "pip install ray", True)
    monkeypatch.setattr(doctor, "PROBES", (WORKING, needed))
    assert main(["doctor"]) == 2
    assert "cannot run without Ray: pip install ray" in capsys.readouterr().err


def test_the_table_shows_rates_with_their_intervals() -> None:
    shown = text(make_result(notes=("doubt this",)))
    assert "98.1 %  [96.2, 99.0]" in shown and "0.6 %  [0.0, 2.0]" in shown
    assert "0.998" in shown and "20 to 31 in 2 classes: 20, 31" in shown
    assert "suspect 1.0, probe 20.0" in shown and "warning: doubt this" in shown


def test_the_table_without_truth_claims_nothing() -> None:
    shown = text(make_result(truth=False))
    assert "%" not in shown.replace("95 % Clopper-Pearson", "") and shown.count("n/a") == 9


def test_the_table_fits_eighty_columns() -> None:
    lines = text(make_result(notes=("long " * 40,)), width=80).splitlines()
    assert max(map(len, lines)) <= 80 and any("[96.2, 99.0]" in line for line in lines)


def test_the_table_is_inert() -> None:
    shown = text(make_result(recipe="a\x1b[31mb[bold]c", notes=("\x1b]0;x\x07 [red]y",)))
    assert "\x1b" not in shown and "\x07" not in shown
    assert r"a\x1b[31mb[bold]c" in shown and "[red]y" in shown


def test_no_control_or_reversing_character_survives() -> None:
    assert inert("a\n\r\t\x1b\x9b\u202e\ud800é") == r"a\n\r\t\x1b\x9b\u202e\ud800é"


@pytest.mark.parametrize("terminal, quiet", [(True, False), (True, True), (False, False)])
def test_bars_are_shown_on_a_terminal_only(terminal: bool, quiet: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with bars(quiet=quiet, console=console):
        progress.tell("probe\x1b[31m", 3, 35)
    shown = console.file.getvalue()
    assert ("3/35" in shown) is (terminal and not quiet)
    assert "probe\x1b[31m" not in shown
    progress.tell("probe", 4, 35)
    assert console.file.getvalue() == shown
