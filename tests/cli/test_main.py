"""One command line in, one exit code out: names, refusals, interruptions."""

import errno
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ray_defense.cli.commands import COMMANDS
from ray_defense.cli.main import main
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.version import VERSION
from ray_defense.reports.result import Result
from tests.support.command_line import forbid_work, raising, replace_call
from tests.support.results import make_result


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_help_answers_at_once():
    seconds = []  # of CPU time, which other programs do not lengthen much
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        finished = run_python("-m", "ray_defense", "run", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert finished.returncode == 0
        assert "--set KEY=VALUE" in finished.stdout
    assert statistics.median(seconds) < 1.0


def test_parsing_loads_nothing_heavy():
    code = (
        "import sys, ray_defense.cli.main as m; "
        "m.parse_command_line(['run', 'x', '--set', 'a=b']);"
        "heavy = ('torch', 'ray', 'numpy', 'sklearn', 'ffcv', 'rich');"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert run_python("-c", code).stdout == "[]\n"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command(flag: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_of_main:
        main([flag])
    assert exit_of_main.value.code == 0
    shown = capsys.readouterr().out
    for name, entry in COMMANDS.items():
        assert f"  {name:<16} {entry.purpose}\n" in shown


def test_the_help_of_a_group_names_its_commands_alone(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_of_main:
        main(["attacks", "--help"])
    assert exit_of_main.value.code == 0
    shown = capsys.readouterr().out
    assert "  attacks preview  draw" in shown
    assert "  attacks check    train" in shown
    assert "  run" not in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_of_main:
        main([*name.split(), "--help"])
    assert exit_of_main.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: ray-defense {name} ")
    assert COMMANDS[name].purpose[1:40] in " ".join(shown.split())


def test_the_version_is_the_one_of_the_package(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_of_main:
        main(["--version"])
    assert exit_of_main.value.code == 0
    assert capsys.readouterr().out == f"ray-defense {VERSION}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            (),
            "name a command: run, demo, detect, audit, defend, reproduce, leaderboard, report, "
            "export, benchmark, sweep, attacks, verify, runs, show, compare, list, doctor",
        ),
        (("rum",), "unknown command 'rum': did you mean 'run'?"),
        (("--verson",), "unknown option '--verson': did you mean '--version'?"),
        (("run",), "recipe"),
        (
            ("run", "digits_badnet"),
            "unknown recipe 'digits_badnet': did you mean 'digits_badnets'?",
        ),
        (("demo", "--sett", "a=b"), "unknown option '--sett': did you mean '--set'?"),
        (("demo", "--verbose"), "unknown option '--verbose'"),
        (("demo", "--executor", "rey"), "invalid choice: 'rey' (choose from 'ray', 'local')"),
        (("demo", "more"), "unrecognized arguments: more"),
        (
            ("demo", "--set", "probe.epocs=3"),
            "unknown configuration key (in probe) 'epocs': did you mean 'epochs'?",
        ),
        (
            ("demo", "--set", "attack=badnet"),
            "unknown attack 'badnet': did you mean 'badnets'?",
        ),
        (("demo", "--set", "probe.epochs"), "--set needs KEY=VALUE, not 'probe.epochs'"),
        (("demo", "--set", "probe.epochs=many"), "probe.epochs must be int, not 'many'"),
        (("list", "--quiet"), "unknown option '--quiet'"),
        (("defnd", "digits_badnets"), "unknown command 'defnd': did you mean 'defend'?"),
        (
            ("defend", "digits_badnet"),
            "unknown recipe 'digits_badnet': did you mean 'digits_badnets'?",
        ),
        (("defend", "digits_badnets", "--repeats", "2"), "unknown option '--repeats'"),
        (
            ("report", "digits_badnets", "--executor", "local"),
            "unknown option '--executor'",
        ),
        (
            ("benchmark", "digits_badnets", "--repeat", "2"),
            "unknown option '--repeat': did you mean '--repeats'?",
        ),
        (("detect", "digits_badnets", "--set", "probe.epocs=3"), "did you mean 'epochs'?"),
        (
            ("attacks",),
            "name a command of attacks: preview, check (see ray-defense attacks --help)",
        ),
        (("sweep", "digits_badnets", "--grid", "sed=0,1"), "did you mean 'seed'?"),
        (
            ("sweep", "digits_badnets", "--grid", "seed"),
            "an axis needs PATH=VALUE,VALUE, not 'seed'",
        ),
        (("sweep", "digits_badnets"), "a sweep needs at least one axis"),
        (("sweep", "digits_badnets", "--named", "transform"), "did you mean 'transforms'?"),
        (
            ("sweep", "digits_badnets", "--gird", "seed=0"),
            "unknown option '--gird': did you mean '--grid'?",
        ),
        (
            ("sweep", "digits_badnets", "--grid", "seed=0", "--samples", "0"),
            "--samples must be at least 1, not 0",
        ),
        (("attacks", "chek"), "unknown command of attacks 'chek': did you mean 'check'?"),
        (("attacks", "preview"), "attack"),
        (("attacks", "preview", "badnet"), "unknown attack 'badnet': did you mean 'badnets'?"),
        (("attacks", "check", "badnets", "sgi"), "unknown attack 'sgi': did you mean 'sig'?"),
        (
            ("attacks", "preview", "sig", "--sorce", "digits"),
            "unknown option '--sorce': did you mean '--source'?",
        ),
        (
            ("attacks", "preview", "sig", "--source", "digit"),
            "unknown source 'digit': did you mean 'digits'?",
        ),
        (
            ("attacks", "preview", "sig", "--set", "attack=badnets"),
            "the attack is already chosen, it is sig",
        ),
        (
            ("attacks", "preview", "sig", "--set", "attack.frequenzy=3"),
            "did you mean 'frequency'?",
        ),
        (
            ("attacks", "preview", "sig", "--output", "/no/such/folder/x.png"),
            "cannot write /no/such/folder/x.png",
        ),
        (
            ("attacks", "check", "--recipe", "digits"),
            "unknown recipe 'digits': did you mean 'digits_blend'?",
        ),
        (("attacks", "check", "--output", "x"), "unknown option '--output'"),
    ],
)
def test_what_is_unknown_is_refused_in_one_line(
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    forbid_work(monkeypatch)
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ray-defense: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("no such folder"), 2, "no such folder"),
        (RunError("two\nlines \x1b[31m"), 3, r"two\nlines \x1b[31m"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/s"),
            3,
            "No space left on device: '/s': make room, and the same command resumes",
        ),
        (OSError(errno.EFBIG, "File too large", "/s"), 3, "(ulimit -f unlimited), and the same"),
        (OSError(errno.ENOTDIR, "Not a directory", "/s"), 3, "choose another folder, and the same"),
        (MemoryError(), 3, "out of memory: free some"),
        (RuntimeError("Could not determine home directory."), 2, "set HOME to a folder"),
        (UnicodeEncodeError("utf-8", "/caf\udce9", 4, 5, "surrogates not allowed"), 2, "not UTF-8"),
        (KeyboardInterrupt(), 130, "the same command resumes"),
        (SystemExit(0), 130, "the same command resumes"),
        (SystemExit(signal.SIGTERM), 143, "the same command resumes"),
    ],
)
def test_the_exit_code_tells_how_it_ended(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    replace_call(monkeypatch, "run", raising(error))
    assert main(["demo"]) == code
    shown = capsys.readouterr().err
    assert shown.startswith("ray-defense: ")
    assert message in shown
    assert shown.count("\n") == 1


def test_an_unforeseen_error_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    replace_call(monkeypatch, "run", raising(RuntimeError("surprise")))
    assert main(["demo"]) == 3
    assert "RuntimeError: surprise" in capsys.readouterr().err


def test_sigterm_ends_a_run_with_143_and_its_handler_goes(monkeypatch: pytest.MonkeyPatch):
    """Row 6 of the faults: SIGTERM as before a preemption."""
    before = signal.getsignal(signal.SIGTERM)

    def end_by_sigterm(*arguments: object, **options: object) -> Result:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return make_result()

    replace_call(monkeypatch, "run", end_by_sigterm)
    assert main(["demo"]) == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path):
    errors = tmp_path / "errors"
    command = f"{sys.executable} -m ray_defense list 2> {errors} | head -n 1"
    finished = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.stdout == "recipes\n"
    assert errors.read_text() == ""


def test_children_of_a_command_import_nothing_from_the_current_directory(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    seen = []

    def note_variable(*arguments: object, **options: object) -> Result:
        seen.append(os.environ.get("PYTHONSAFEPATH"))
        return make_result()

    replace_call(monkeypatch, "run", note_variable)
    assert main(["demo"]) == 0
    assert seen == ["1"]
    assert "PYTHONSAFEPATH" not in os.environ


@pytest.mark.parametrize("home", ["/dev/null", "/proc/no-such-folder"])
def test_a_run_of_a_user_without_a_home_works_or_ends_in_one_line(home: str, tmp_path: Path):
    """The token of Ray is kept at home; what runs without Ray needs no home."""
    environment = {**os.environ, "HOME": home}
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "ray_defense", "detect", "digits_badnets", "--quiet"]
    finished = subprocess.run(
        [*command, "--store", str(tmp_path / "store")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 2
    assert "set XDG_STATE_HOME to a folder that you may write" in finished.stderr
    assert finished.stderr.count("\n") == 1


def limit_files() -> None:
    """Allows this process files of 100 KB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_limit_on_the_size_of_files_ends_a_run_in_one_line(tmp_path: Path):
    """Row 4 of the faults, a disk that takes no more: here because of `ulimit -f`."""
    command = [sys.executable, "-m", "ray_defense", "detect", "digits_badnets", "--quiet"]
    finished = subprocess.run(
        [*command, "--executor", "local", "--store", str(tmp_path / "store")],
        preexec_fn=limit_files,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 3
    assert "File too large" in finished.stderr
    assert "lift the limit on the size of files (ulimit -f unlimited)" in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not list(tmp_path.glob("store/*/*/config.json"))
