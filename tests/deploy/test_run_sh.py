"""run.sh with a stub in the place of Python, which notes what it is asked: nothing is installed."""

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "sh",
    "bash",
    "dirname",
    "cat",
    "cksum",
    "mkdir",
    "mktemp",
    "grep",
    "rm",
    "mv",
    "cp",
    "flock",
    "env",
    "sleep",
)
PYTHON = """#!/bin/sh
printf '%s\\n' "$*" >>"$STUB_LOG"
case "$*" in
    -V) echo 'Python 3.11.7' ;;
    *--dry-run*) exit "${STUB_UNSATISFIED:-1}" ;;
    *ffcv,test*) echo "$STUB_FFCV_ERROR" >&2; [ -z "$STUB_FFCV_ERROR" ] ;;
    *--editable*) sleep "${STUB_SLEEP:-0}"; exit "${STUB_INSTALL:-0}" ;;
    *find_spec*ffcv*) exit "${STUB_NO_FFCV:-0}" ;;
    *ray_defense*) echo "PYTHONPATH=$PYTHONPATH"; [ "$PYTHONSAFEPATH" = 1 ] || exit 9 ;;
    '-m ruff format'*) exit "${STUB_FORMAT:-0}" ;;
    '-m mypy') exit "${STUB_TYPES:-0}" ;;
    '-m pytest -q tests/repo'*) exit "${STUB_REPO:-0}" ;;
    '-m pytest'*) exit 7 ;;
esac
"""
CHECKS = [
    "-m ruff format --check --quiet .",
    "-m ruff check --quiet .",
    "-m mypy",
    "-c import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())",
    "-m pytest -q tests/repo",
]

TESTS = [
    "-m pytest -q --ignore=tests/repo -m not ray and not long and not fuzz"
    " -n logical --maxprocesses 4 --dist loadfile --durations=20",
    "-m pytest -q --ignore=tests/repo -m ray and not long and not fuzz --durations=20",
]


class Checkout:
    """A copy of run.sh in a folder with a space, an environment elsewhere, a PATH of few tools."""

    def __init__(self, base: Path):
        self.root = base / "a check out"
        self.venv = base / "an env"
        self.tools = base / "tools"
        self.log = base / "log"
        self.root.mkdir()
        self.tools.mkdir()
        shutil.copy2(ROOT / "run.sh", self.root / "run.sh")
        shutil.copy2(ROOT / "pyproject.toml", self.root / "pyproject.toml")
        shutil.copytree(ROOT / ".ci", self.root / ".ci")
        for name in TOOLS:
            path = shutil.which(name)
            if path is not None:
                (self.tools / name).symlink_to(path)
        self.add_tool("id", "echo 1000")
        self.add_tool("sudo", "exit 1")
        self.write_python(PYTHON)

    def add_tool(self, name: str, body: str) -> None:
        """Adds a command to the PATH."""
        write_script(self.tools / name, f"#!/bin/sh\n{body}\n")

    def write_python(self, text: str) -> None:
        """Makes the environment, or replaces its Python."""
        write_script(self.venv / "bin" / "python", text)

    def start(self, *argv: str, script: str = "run.sh", **stub: str) -> "subprocess.Popen[str]":
        """Starts a script of the checkout.

        Args:
            *argv: Its arguments.
            script: Its path.
            **stub: Variables that tell the stub of Python what to do.
        """
        variables = {
            "RAY_DEFENSE_VENV": str(self.venv),
            "STUB_LOG": str(self.log),
            "PATH": str(self.tools),
            **stub,
        }
        return subprocess.Popen(
            [str(self.root / script), *argv],
            env=variables,
            cwd=self.root.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *argv: str, **options: str) -> "subprocess.CompletedProcess[str]":
        """Runs a script as `start` does, with an empty log before it."""
        self.log.write_text("")
        process = self.start(*argv, **options)
        output, errors = process.communicate(timeout=300)
        return subprocess.CompletedProcess(argv, process.returncode, output, errors)

    @property
    def asked(self) -> str:
        """What Python was asked, a line each."""
        return self.log.read_text()

    @property
    def stamp(self) -> Path:
        return self.venv / ".ray-defense-stamp"


def write_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def seconds_of_children() -> float:
    """Returns the processor time that ended processes took, which a busy machine hardly changes."""
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_call_installs_and_the_second_does_not(checkout: Checkout) -> None:
    assert checkout.call("list").returncode == 0
    assert "--editable .[test]" in checkout.asked
    start_s = seconds_of_children()
    start = time.perf_counter()
    second = checkout.call("list")
    assert seconds_of_children() - start_s < 1
    assert time.perf_counter() - start < 10  # it waits for nothing, also on a busy machine
    assert "pip" not in checkout.asked
    assert second.stderr == ""


def test_the_second_call_asks_python_for_its_version_only(checkout: Checkout) -> None:
    checkout.call("list")
    checkout.call("list")
    assert checkout.asked.splitlines() == ["-V", "-P -m ray_defense list"]


def test_another_pyproject_makes_the_stamp_invalid(checkout: Checkout) -> None:
    checkout.call("list")
    with open(checkout.root / "pyproject.toml", "a") as file:
        file.write("\n# changed\n")
    checkout.call("list")
    assert "--editable .[test]" in checkout.asked


def test_another_python_makes_the_stamp_invalid(checkout: Checkout) -> None:
    checkout.call("list")
    checkout.write_python(PYTHON.replace("3.11.7", "3.12.1"))
    checkout.call("list")
    assert "--editable .[test]" in checkout.asked


def test_an_environment_that_has_everything_is_only_stamped(checkout: Checkout) -> None:
    assert checkout.call("list", STUB_UNSATISFIED="0").returncode == 0
    assert "--editable" not in checkout.asked
    assert checkout.stamp.exists()


def test_a_failed_installation_leaves_no_stamp_and_runs_nothing(checkout: Checkout) -> None:
    failed = checkout.call("list", STUB_INSTALL="1")
    assert failed.returncode == 3
    assert "installation failed" in failed.stderr
    assert not checkout.stamp.exists()
    assert "ray_defense list" not in checkout.asked


def test_no_arguments_print_the_usage_and_set_nothing_up(checkout: Checkout) -> None:
    finished = checkout.call()
    assert finished.returncode == 2
    assert finished.stderr.startswith("usage: ./run.sh demo")
    assert checkout.asked == ""


@pytest.mark.parametrize("argv", [("demo", "--quiet"), ("rnu", "a b"), ("--help",)])
def test_what_is_not_test_goes_to_the_command_line_unchanged(
    checkout: Checkout, argv: tuple[str, ...]
) -> None:
    checkout.call(*argv)
    assert checkout.asked.splitlines()[-1] == " ".join(("-P -m ray_defense", *argv))


def test_the_code_of_this_checkout_comes_first(checkout: Checkout) -> None:
    assert checkout.call("list").stdout == f"PYTHONPATH={checkout.root}\n"
    extended = checkout.call("list", PYTHONPATH="/x")
    assert extended.stdout == f"PYTHONPATH={checkout.root}:/x\n"


@pytest.mark.parametrize("words", [":/x", "/x:", ".:/x", "::/x::"])
def test_no_word_of_pythonpath_means_the_current_directory(checkout: Checkout, words: str) -> None:
    finished = checkout.call("list", PYTHONPATH=words)
    assert finished.returncode == 0
    assert finished.stdout == f"PYTHONPATH={checkout.root}:/x\n"


def test_test_with_arguments_runs_pytest_alone_with_them_and_its_exit_code(
    checkout: Checkout,
) -> None:
    checkout.call("list")
    assert checkout.call("test", "tests/x.py", "-k", "y").returncode == 7
    assert checkout.asked.splitlines() == ["-V", "-m pytest -q tests/x.py -k y"]
    assert checkout.call("test", "chaos", "-x").returncode == 7
    assert checkout.asked.splitlines() == ["-V", "-m pytest -q -m chaos or long -x"]
    assert checkout.call("test", "fuzz").returncode == 7
    assert checkout.asked.splitlines() == ["-V", "-m pytest -q -m fuzz"]


def test_test_alone_runs_the_checks_of_the_code_and_then_all_other_tests(
    checkout: Checkout,
) -> None:
    checkout.call("list")
    assert checkout.call("test").returncode == 7
    assert checkout.asked.splitlines() == ["-V", *CHECKS, *TESTS]


@pytest.mark.parametrize(
    ("stub", "num_checks"), [("STUB_FORMAT", 1), ("STUB_TYPES", 3), ("STUB_REPO", 5)]
)
def test_a_check_that_fails_ends_the_tests_before_they_start(
    checkout: Checkout, stub: str, num_checks: int
) -> None:
    checkout.call("list")
    failed = checkout.call("test", **{stub: "1"})
    assert failed.returncode == 1
    assert "the checks failed (above): mend that first" in failed.stderr
    assert checkout.asked.splitlines() == ["-V", *CHECKS[:num_checks]]


def test_check_runs_the_checks_alone_and_has_their_exit_code(checkout: Checkout) -> None:
    checkout.call("list")
    assert checkout.call("check").returncode == 0
    assert checkout.asked.splitlines() == ["-V", *CHECKS]
    assert checkout.call("check", STUB_REPO="5").returncode == 5
    assert checkout.call("check", STUB_TYPES="1").returncode == 1
    checkout.call("check", "-x")
    assert checkout.asked.splitlines()[-1] == "-m pytest -q tests/repo -x"


def test_continuous_integration_runs_the_checks_and_the_whole_suite(checkout: Checkout) -> None:
    assert checkout.call(script=".ci/run").returncode == 7
    assert checkout.asked.splitlines()[-7:] == [*CHECKS, *TESTS]


def test_without_libraries_and_rights_it_prints_the_line_and_goes_on(checkout: Checkout) -> None:
    finished = checkout.call("list", STUB_NO_FFCV="1")
    assert finished.returncode == 0
    line = "sudo apt-get install libopencv-dev libturbojpeg0-dev pkg-config g++\n"
    assert line in finished.stderr
    assert checkout.call("list", STUB_NO_FFCV="1").stderr == ""


def test_ffcv_is_left_out_where_nobody_wants_it_until_somebody_does(checkout: Checkout) -> None:
    refused = checkout.call("list", STUB_NO_FFCV="1", RAY_DEFENSE_FFCV="no")
    assert refused.returncode == 0
    assert "going on without FFCV; RAY_DEFENSE_FFCV=yes installs it" in refused.stderr
    assert checkout.stamp.read_text().endswith(" unwanted\n")
    again = checkout.call("list", STUB_NO_FFCV="1")
    assert again.stderr == ""
    wanted = checkout.call("list", STUB_NO_FFCV="1", RAY_DEFENSE_FFCV="yes")
    assert "going on without FFCV (NumPy reads the same shards)" in wanted.stderr
    assert checkout.stamp.read_text().endswith(" no-libraries\n")


def test_what_ffcv_takes_is_said_before_it_is_installed(checkout: Checkout) -> None:
    said = checkout.call("list", STUB_NO_FFCV="1").stderr
    assert said.index("some 200 Debian packages") < said.index("going on without FFCV")
    assert "since nobody can be asked here" in said


def test_another_answer_about_ffcv_is_refused(checkout: Checkout) -> None:
    called = checkout.call("list", STUB_NO_FFCV="1", RAY_DEFENSE_FFCV="maybe")
    assert called.returncode == 2
    assert "RAY_DEFENSE_FFCV is maybe: set it to no, yes or ask" in called.stderr
    assert not checkout.stamp.exists()


def test_ffcv_is_built_once_the_libraries_are_there(checkout: Checkout) -> None:
    checkout.call("list", STUB_NO_FFCV="1")
    checkout.add_tool("g++", "exit 0")
    checkout.add_tool("pkg-config", "exit 0")
    assert checkout.call("list", STUB_NO_FFCV="1").returncode == 0
    assert "--editable .[ffcv,test]" in checkout.asked
    checkout.call("list", STUB_NO_FFCV="1")
    assert "pip" not in checkout.asked


@pytest.mark.parametrize(
    ("error", "tried_again"),
    [("No matching distribution", True), ("error: no such header", False)],
)
def test_ffcv_that_fails_is_tried_again_only_when_it_was_not_fetched(
    checkout: Checkout, error: str, tried_again: bool
) -> None:
    checkout.add_tool("g++", "exit 0")
    checkout.add_tool("pkg-config", "exit 0")
    finished = checkout.call("list", STUB_NO_FFCV="1", STUB_FFCV_ERROR=error)
    assert finished.returncode == 0
    assert "going on without FFCV" in finished.stderr
    assert error in finished.stderr
    assert checkout.stamp.exists() is not tried_again


def test_a_missing_python_is_one_clear_line(checkout: Checkout) -> None:
    shutil.rmtree(checkout.venv)
    finished = checkout.call("list")
    assert finished.returncode == 2
    assert finished.stdout == ""
    message = "no Python 3.11 or later: apt-get install python3 python3-venv"
    assert finished.stderr == f"run.sh: {message}\n"


def test_a_missing_venv_module_is_one_clear_line(checkout: Checkout) -> None:
    shutil.rmtree(checkout.venv)
    checkout.add_tool("python3", 'case "$*" in *venv*) exit 1 ;; esac')
    finished = checkout.call("list")
    assert finished.returncode == 2
    message = "python3 has no venv module: apt-get install python3-venv"
    assert finished.stderr == f"run.sh: {message}\n"


@pytest.mark.skipif(shutil.which("flock") is None, reason="needs flock")
def test_two_first_calls_at_once_install_once(checkout: Checkout) -> None:
    processes = [checkout.start("list", STUB_SLEEP="0.5") for _ in range(2)]
    for process in processes:
        process.communicate(timeout=300)
    assert [process.returncode for process in processes] == [0, 0]
    assert checkout.asked.count("--editable .[test]") == 1


def test_the_script_is_executable_and_posix(checkout: Checkout) -> None:
    assert os.access(ROOT / "run.sh", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    for shell in ("dash", "sh"):
        if shutil.which(shell) is not None:
            assert subprocess.run([shell, "-n", str(ROOT / "run.sh")]).returncode == 0
