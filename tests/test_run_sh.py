"""run.sh with an environment whose Python is a stub that writes down what it is asked, so nothing is installed."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ("sh", "bash", "dirname", "cat", "cksum", "mkdir", "mktemp", "grep", "rm", "mv", "cp", "flock", "env", "sleep")
PYTHON = """#!/bin/sh
printf '%s\\n' "$*" >>"$STUB_LOG"
case "$*" in
    -V) echo 'Python 3.11.7' ;;
    *--dry-run*) exit "${STUB_UNSATISFIED:-1}" ;;
    *ffcv,test*) echo "$STUB_FFCV_ERROR" >&2; [ -z "$STUB_FFCV_ERROR" ] ;;
    *--editable*) sleep "${STUB_SLEEP:-0}"; exit "${STUB_INSTALL:-0}" ;;
    *find_spec*ffcv*) exit "${STUB_NO_FFCV:-0}" ;;
    *ray_defense*) echo "PYTHONPATH=$PYTHONPATH" ;;
    '-m pytest'*) exit 7 ;;
esac
"""


class Checkout:
    """A copy of run.sh in a folder with a space, an environment elsewhere, and a PATH of a few tools."""

    def __init__(self, base: Path):
        self.root, self.venv, self.tools, self.log = base / "a check out", base / "an env", base / "tools", base / "log"
        self.root.mkdir()
        self.tools.mkdir()
        for name in ("run.sh", "pyproject.toml", ".ci"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, self.root / name)
        for name in TOOLS:
            if (path := shutil.which(name)) is not None:
                (self.tools / name).symlink_to(path)
        self.tool("id", "echo 1000")
        self.tool("sudo", "exit 1")
        self.environment()

    def tool(self, name: str, body: str) -> None:
        self.script(self.tools / name, f"#!/bin/sh\n{body}\n")

    def environment(self) -> None:
        self.script(self.venv / "bin" / "python", PYTHON)

    @staticmethod
    def script(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *argv: str, script: str = "run.sh", **stub: str) -> subprocess.Popen:
        variables = {"RAY_DEFENSE_VENV": str(self.venv), "STUB_LOG": str(self.log), "PATH": str(self.tools)} | stub
        command = [str(self.root / script), *argv]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=variables, cwd=self.root.parent, stdout=pipe, stderr=pipe, text=True)

    def call(self, *argv: str, **options: str) -> subprocess.CompletedProcess:
        """Runs a script, with an empty log before it."""
        self.log.write_text("")
        process = self.start(*argv, **options)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    @property
    def asked(self) -> str:
        return self.log.read_text()

    @property
    def stamp(self) -> Path:
        return self.venv / ".ray-defense-stamp"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_call_installs_and_the_second_does_not(checkout: Checkout) -> None:
    assert checkout.call("list").returncode == 0
    assert "--editable .[test]" in checkout.asked
    start = time.perf_counter()
    second = checkout.call("list")
    assert time.perf_counter() - start < 1.0
    assert "pip" not in checkout.asked and second.stderr == ""


def test_the_second_call_asks_python_for_its_version_only(checkout: Checkout) -> None:
    checkout.call("list")
    checkout.call("list")
    assert checkout.asked.splitlines() == ["-V", "-m ray_defense list"]


def test_another_pyproject_makes_the_stamp_invalid(checkout: Checkout) -> None:
    checkout.call("list")
    with open(checkout.root / "pyproject.toml", "a") as file:
        file.write("\n# changed\n")
    checkout.call("list")
    assert "--editable .[test]" in checkout.asked


def test_another_python_makes_the_stamp_invalid(checkout: Checkout) -> None:
    checkout.call("list")
    checkout.script(checkout.venv / "bin" / "python", PYTHON.replace("3.11.7", "3.12.1"))
    checkout.call("list")
    assert "--editable .[test]" in checkout.asked


def test_an_environment_that_has_everything_is_only_stamped(checkout: Checkout) -> None:
    assert checkout.call("list", STUB_UNSATISFIED="0").returncode == 0
    assert "--editable" not in checkout.asked and checkout.stamp.exists()


def test_a_failed_installation_leaves_no_stamp_and_runs_nothing(checkout: Checkout) -> None:
    failed = checkout.call("list", STUB_INSTALL="1")
    assert failed.returncode == 3 and "installation failed" in failed.stderr
    assert not checkout.stamp.exists() and "ray_defense list" not in checkout.asked


def test_no_arguments_print_the_usage_and_set_nothing_up(checkout: Checkout) -> None:
    done = checkout.call()
    assert done.returncode == 2 and done.stderr.startswith("usage: ./run.sh demo") and checkout.asked == ""


@pytest.mark.parametrize("argv", [("demo", "--quiet"), ("rnu", "a b"), ("--help",)])
def test_what_is_not_test_goes_to_the_command_line_unchanged(checkout: Checkout, argv: tuple[str, ...]) -> None:
    checkout.call(*argv)
    assert checkout.asked.splitlines()[-1] == " ".join(("-m ray_defense", *argv))


def test_the_code_of_this_checkout_comes_first(checkout: Checkout) -> None:
    assert checkout.call("list").stdout == f"PYTHONPATH={checkout.root}\n"
    assert checkout.call("list", PYTHONPATH="/x").stdout == f"PYTHONPATH={checkout.root}:/x\n"


def test_test_runs_pytest_with_the_arguments_and_its_exit_code(checkout: Checkout) -> None:
    assert checkout.call("test", "tests/x.py", "-k", "y").returncode == 7
    assert checkout.asked.splitlines()[-1] == "-m pytest -q tests/x.py -k y"
    checkout.call("test", "chaos", "-x")
    assert checkout.asked.splitlines()[-1] == "-m pytest -q -m chaos or long -x"


def test_continuous_integration_runs_the_whole_suite(checkout: Checkout) -> None:
    assert checkout.call(script=".ci/run").returncode == 7
    assert checkout.asked.splitlines()[-1] == "-m pytest -q"


def test_without_libraries_and_rights_it_prints_the_line_and_goes_on(checkout: Checkout) -> None:
    done = checkout.call("list", STUB_NO_FFCV="1")
    assert done.returncode == 0
    assert "sudo apt-get install libopencv-dev libturbojpeg0-dev pkg-config g++\n" in done.stderr
    assert checkout.call("list", STUB_NO_FFCV="1").stderr == ""


def test_ffcv_is_built_once_the_libraries_are_there(checkout: Checkout) -> None:
    checkout.call("list", STUB_NO_FFCV="1")
    checkout.tool("g++", "exit 0")
    checkout.tool("pkg-config", "exit 0")
    assert checkout.call("list", STUB_NO_FFCV="1").returncode == 0
    assert "--editable .[ffcv,test]" in checkout.asked
    checkout.call("list", STUB_NO_FFCV="1")
    assert "pip" not in checkout.asked


@pytest.mark.parametrize("error, again", [("No matching distribution", True), ("error: no such header", False)])
def test_ffcv_that_fails_is_tried_again_only_when_it_was_not_fetched(checkout: Checkout, error: str, again: bool) -> None:
    checkout.tool("g++", "exit 0")
    checkout.tool("pkg-config", "exit 0")
    done = checkout.call("list", STUB_NO_FFCV="1", STUB_FFCV_ERROR=error)
    assert done.returncode == 0 and "going on without FFCV" in done.stderr and error in done.stderr
    assert checkout.stamp.exists() is not again


def test_a_missing_python_is_one_clear_line(checkout: Checkout) -> None:
    shutil.rmtree(checkout.venv)
    done = checkout.call("list")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "run.sh: no Python 3.11 or later: apt-get install python3 python3-venv\n"


def test_a_missing_venv_module_is_one_clear_line(checkout: Checkout) -> None:
    shutil.rmtree(checkout.venv)
    checkout.tool("python3", 'case "$*" in *venv*) exit 1 ;; esac')
    done = checkout.call("list")
    assert done.returncode == 2
    assert done.stderr == "run.sh: python3 has no venv module: apt-get install python3-venv\n"


@pytest.mark.skipif(shutil.which("flock") is None, reason="needs flock")
def test_two_first_calls_at_once_install_once(checkout: Checkout) -> None:
    processes = [checkout.start("list", STUB_SLEEP="0.5") for _ in range(2)]
    for process in processes:
        process.communicate(timeout=30)
    assert [process.returncode for process in processes] == [0, 0]
    assert checkout.asked.count("--editable .[test]") == 1


def test_the_script_is_executable_and_posix(checkout: Checkout) -> None:
    assert os.access(ROOT / "run.sh", os.X_OK) and os.access(ROOT / ".ci" / "run", os.X_OK)
    for shell in filter(shutil.which, ("dash", "sh")):
        assert subprocess.run([shell, "-n", str(ROOT / "run.sh")]).returncode == 0
