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
from rich.console import Console, RenderableType

from ray_defense import api
from ray_defense.attacks import ATTACKS
from ray_defense.cli import attacks_table, doctor, listing
from ray_defense.cli import benchmark as cli_benchmark
from ray_defense.cli.bars import bars
from ray_defense.cli.inert import inert
from ray_defense.cli.main import main
from ray_defense.cli.table import render
from ray_defense.core import progress
from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import Failed, Refused
from ray_defense.execution.placement import ANYWHERE
from ray_defense.execution.protocols import Room
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.reports.result import Defended, ModelResult, Result, ScoreResult
from ray_defense.stages.evaluation import WEAK_ASR
from ray_defense.studies.attack_strength import Checked
from ray_defense.studies.throughput import Pace, Throughput

NOTHING = ModelResult(None, None, 0, 0, None, None, None)
GOOD = ModelResult(0.981, 0.006, 397, 360, [0.9623, 0.99], [0.0, 0.02], 0.98)


def make_result(
    *, truth: bool = True, recipe: str = "digits_badnets", notes: tuple[str, ...] = (), weak: bool | None = None
) -> Result:
    score = ScoreResult(0.998, 1.0, 0.95, [20, 31]) if truth else ScoreResult(None, None, None, [20, 31])
    model = GOOD if truth else NOTHING
    seconds = {"suspect": 1.04, "probe": 20.0}
    return Result(
        recipe, 0, score, model, model, None, weak, seconds, {"split": "/s/split/k"}, "/s/report.html", {}, list(notes)
    )


def text(result: Result, width: int = 100) -> str:
    return shown(render(result), width)


def shown(table: RenderableType, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(table)
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
        "import sys, ray_defense.cli.main, ray_defense.cli.parser as o; o.parse(['run', 'x', '--set', 'a=b']);"
        "print([name for name in ('torch', 'ray', 'numpy', 'sklearn', 'ffcv', 'rich') if name in sys.modules])"
    )
    assert python("-c", code).stdout == "[]\n"


@pytest.mark.parametrize(
    "argv, said",
    [
        ((), "name a command: run, demo, score, defend, report, benchmark, sweep, attacks, list, doctor"),
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
        (("defnd", "digits_badnets"), "unknown command 'defnd': did you mean 'defend'?"),
        (("defend", "digits_badnet"), "unknown recipe 'digits_badnet': did you mean 'digits_badnets'?"),
        (("defend", "digits_badnets", "--repeats", "2"), "unknown option '--repeats'"),
        (("report", "digits_badnets", "--executor", "local"), "unrecognized arguments: --executor local"),
        (("benchmark", "digits_badnets", "--repeat", "2"), "unknown option '--repeat': did you mean '--repeats'?"),
        (("score", "digits_badnets", "--set", "probe.epocs=3"), "did you mean 'epochs'?"),
        (("attacks",), "name a command of attacks: preview, check (see ray-defense attacks --help)"),
        (("sweep", "digits_badnets", "--grid", "sed=0,1"), "did you mean 'seed'?"),
        (("sweep", "digits_badnets", "--grid", "seed"), "an axis needs PATH=VALUE,VALUE, not 'seed'"),
        (("sweep", "digits_badnets"), "a sweep needs at least one axis"),
        (("sweep", "digits_badnets", "--named", "transform"), "did you mean 'transforms'?"),
        (("sweep", "digits_badnets", "--gird", "seed=0"), "unknown option '--gird': did you mean '--grid'?"),
        (("sweep", "digits_badnets", "--grid", "seed=0", "--samples", "0"), "--samples must be at least 1, not 0"),
        (("attacks", "chek"), "unknown command of attacks 'chek': did you mean 'check'?"),
        (("attacks", "preview"), "attack"),
        (("attacks", "preview", "badnet"), "unknown attack 'badnet': did you mean 'badnets'?"),
        (("attacks", "check", "badnets", "sgi"), "unknown attack 'sgi': did you mean 'sig'?"),
        (("attacks", "preview", "sig", "--sorce", "digits"), "unknown option '--sorce': did you mean '--source'?"),
        (("attacks", "preview", "sig", "--source", "digit"), "unknown source 'digit': did you mean 'digits'?"),
        (("attacks", "preview", "sig", "--set", "attack=badnets"), "the attack is already chosen, it is sig"),
        (("attacks", "preview", "sig", "--set", "attack.frequenzy=3"), "did you mean 'frequency'?"),
        (("attacks", "preview", "sig", "--output", "/no/such/folder/x.png"), "cannot write /no/such/folder/x.png"),
        (("attacks", "check", "--recipe", "digits"), "unknown recipe 'digits': did you mean 'digits_blend'?"),
        (("attacks", "check", "--output", "x"), "unknown option '--output'"),
    ],
)
def test_what_is_unknown_is_refused_in_one_line(
    argv: tuple[str, ...], said: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("run", "defend", "report", "benchmark", "preview", "check", "sweep"):
        monkeypatch.setattr(api, name, raising(AssertionError("it ran")))
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ray-defense: ") and said in err and err.count("\n") == 1


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_printed_configuration_is_what_would_run(recipe: str, capsys: pytest.CaptureFixture, run_is: Callable) -> None:
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
    assert asked == {"store": "s", "executor": "local", "backend": "numpy", "placement": ANYWHERE}
    assert os.environ["RAY_DEFENSE_DATA"] == str(tmp_path / "d")
    out, err = capsys.readouterr()
    assert out.splitlines()[-2:] == ["report.html: /s/report.html", f"result.json: {tmp_path / 's' / 'result.json'}"]
    assert err == ""


def test_defending_prints_the_split_what_to_doubt_and_where_models_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked = {}
    counts = {"trusted": 20, "poisoned": 5, "uncertain": 75}
    files = {"split": "/s/split/k/split.parquet", "d_st": f"/s/{'x' * 150}/model.safetensors"}
    made = Defended("a\x1b[31mb", 3, counts, files, ["[red]doubt"])
    monkeypatch.setattr(api, "defend", lambda config, **options: asked.update(options, config=config) or made)
    assert main(["defend", "digits_badnets", "--store", "s", "--executor", "local", "--set", "seed=3", "--quiet"]) == 0
    assert asked.pop("config") == override(RECIPES["digits_badnets"](), "seed", 3)
    assert asked == {"store": "s", "executor": "local", "backend": "auto", "placement": ANYWHERE}
    out = [r"a\x1b[31mb, seed 3: 20 trusted, 5 poisoned, 75 uncertain", "warning: [red]doubt"]
    assert capsys.readouterr().out.splitlines() == out + [f"{name}: {path}" for name, path in files.items()]


def test_a_report_is_asked_for_with_a_store_alone_and_shown_as_a_run_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    asked = {}
    monkeypatch.setattr(api, "report", lambda config, **options: asked.update(options, config=config) or make_result())
    assert main(["report", "digits_badnets", "--store", str(tmp_path), "--set", "d_st=none"]) == 0
    assert asked == {"store": str(tmp_path), "config": override(RECIPES["digits_badnets"](), "d_st", "none")}
    assert "98.1 %" in (out := capsys.readouterr().out) and f"result.json: {tmp_path / 'result.json'}\n" in out


def test_throughput_is_shown_as_medians_with_their_range(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    asked, slow = {}, Pace(3000, [1.0, 3.0, 2.0], [3000.0, 1000.0, 1500.0])
    room = Room(2, 16, 4, 8)
    found = Throughput("digits_badnets", 1500, slow, slow, slow, 78042, 3100.0, 971039, 1, 3, room, {})
    monkeypatch.setattr(api, "benchmark", lambda config, **options: asked.update(options) or found)
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "digits_badnets", "--store", "s", "--repeats", "3"]) == 0
    assert asked == {"store": "s", "executor": "ray", "backend": "auto", "placement": ANYWHERE, "repeats": 3}
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines() if "scoring  " in line] == [["scoring", "3,000", "1,500", "1,000–3,000"]]
    assert "scoring actors: 3; nodes: 2, CPUs: 16, GPUs: 4" in out and out.endswith(f"{tmp_path / 's' / 'benchmark.json'}\n")
    assert max(map(len, shown(cli_benchmark.render(found), 80).splitlines())) <= 80


def test_the_preview_is_written_where_it_is_asked_for_or_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    asked = []
    monkeypatch.setattr(api, "preview", lambda config, **options: asked.append((config, options)) or b"pixels")
    monkeypatch.chdir(tmp_path)
    common = ["--executor", "local", "--backend", "numpy", "--store", "s"]
    assert main(["attacks", "preview", "blend_signal", *common, "--source", "cifar10", "--set", "attack.opacity=0.3"]) == 0
    assert main(["attacks", "preview", "sig", *common, "--recipe", "cifar10_badnets_small", "--output", "x.png"]) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"blend_signal.png": b"pixels", "x.png": b"pixels"}
    assert capsys.readouterr().out.split() == [str(tmp_path / "blend_signal.png"), str(tmp_path / "x.png")]
    expected = RECIPES["digits_badnets"]()
    for key, value in {"source": "cifar10", "attack": "blend_signal", "attack.opacity": 0.3}.items():
        expected = override(expected, key, value)
    assert [config for config, _ in asked] == [expected, override(RECIPES["cifar10_badnets_small"](), "attack", "sig")]
    assert asked[0][1] == {"store": "s", "executor": "local", "backend": "numpy", "placement": ANYWHERE}


@pytest.mark.parametrize("named, expected", [((), tuple(ATTACKS)), (("sig", "badnets", "sig"), ("sig", "badnets"))])
def test_the_attacks_named_are_checked_or_else_all(
    named: tuple[str, ...], expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked = []

    def check(recipe: Recipe, attacks: list, **options: str) -> tuple[Checked, ...]:
        asked.append((recipe, attacks, options))
        return tuple(Checked(attack.name, attack.in_paper, None, 7, 0, GOOD, GOOD, 0.0, False) for attack in attacks)

    monkeypatch.setattr(api, "check", check)
    settings = ["--set", "seed=2", "--set", "attack.aim.target=3"] if named else ["--set", "seed=2"]
    assert main(["attacks", "check", *named, "--store", "s", "--executor", "local", "--backend", "numpy", *settings]) == 0
    ((recipe, attacks, options),) = asked
    assert recipe == override(override(RECIPES["digits_badnets"](), "seed", 2), "attack", "none")
    assert tuple(attack.name for attack in attacks) == expected
    assert not named or all(attack.aim.target == 3 for attack in attacks)
    assert options == {"store": "s", "executor": "local", "backend": "numpy", "placement": ANYWHERE}
    assert all(name in capsys.readouterr().out for name in expected[:1])


def test_one_refused_attack_is_a_row_with_its_reason_and_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    rows = (Checked("badnets", True, None, 7, 0, GOOD, GOOD, 0.0, False), Checked("sig", True, "too\x1b small"))
    monkeypatch.setattr(api, "check", lambda recipe, attacks, **options: rows)
    assert main(["attacks", "check", "badnets", "sig", "--backend", "numpy"]) == 2
    out, err = capsys.readouterr()
    assert "98.1 %" in out and r"sig refused: too\x1b small" in out and "attacks.json: " in out
    assert err == "ray-defense: 1 of 2 attacks were refused, for the reasons above: sig\n"


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


def test_doctor_is_content_without_what_is_not_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
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


@pytest.mark.parametrize("weak", [True, False, None])
def test_a_weak_attack_and_no_other_is_said_to_be_weak(weak: bool | None) -> None:
    said = f"weak attack: the backdoored model's ASR is under {100 * WEAK_ASR:g} %, which the paper's tables leave out"
    assert (said in text(make_result(weak=weak))) is (weak is True)
    rows = [Checked("a", True, None, 9, 0, GOOD, GOOD, -0.1, weak), Checked("b", True, None, 9, 0, GOOD, GOOD, 0.0, False)]
    table = shown(attacks_table.render(RECIPES["digits_badnets"](), rows), 100)
    assert (said in table) is (weak is True)
    (line,) = (line for line in table.splitlines() if line.startswith(" a "))
    assert line.split()[-1] == ("weak" if weak else "-10.0")


@pytest.mark.parametrize("width", [80, 100])
def test_the_attacks_table_is_whole_in_eighty_columns(width: int) -> None:
    surest = ModelResult(1.0, 1.0, 9999, 9999, [0.999, 1.0], [0.999, 1.0], 1.0)
    rows = [
        Checked("badnets_all2all", True, None, 5000, 5000, surest, GOOD, -0.5, True),
        Checked("sig", True, "because"),
    ]
    table = shown(attacks_table.render(RECIPES["digits_badnets"](), rows), width)
    assert max(map(len, table.splitlines())) <= width
    for said in (
        "badnets_all2all",
        "5000 + 5000",
        "100.0 %",
        "[99.9–100.0]",
        "-50.0",
        "weak",
        "refused",
        "sig refused: because",
    ):
        assert said in table
    assert "the clean model's 98.1 %  [96.2, 99.0]" in table and "poisoned + cover" in table


def test_an_attack_without_a_test_set_has_no_rates_and_no_change() -> None:
    rows = [Checked("badnets", True, None, 9, 0, NOTHING, NOTHING, None, None)]
    table = shown(attacks_table.render(RECIPES["digits_badnets"](), rows), 100)
    (line,) = (line for line in table.splitlines() if "badnets " in line and "yes" in line)
    assert line.split() == ["badnets", "yes", "9", "n/a", "n/a", "n/a"] and "weak" not in table
