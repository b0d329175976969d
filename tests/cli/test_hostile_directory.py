"""Whoever works inside a dataset runs no file of it: every way to start the product is tried.

The folder holds modules by the names of what the product imports, and settings of libraries that
name code; each leaves a mark when it runs.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ray_defense.cli.commands.doctor import Check, run_check
from ray_defense.core.import_path import PACKAGE_ROOT
from tests.support.hostile_directory import HostileDirectory, ordinary_environment

CONSOLE_SCRIPT = Path(sys.executable).with_name("ray-defense")
MODULE = [sys.executable, "-m", "ray_defense"]
RUN_SH = [f"{PACKAGE_ROOT}/run.sh"]
JOB = [sys.executable, f"{PACKAGE_ROOT}/jobs/pipeline.py"]
# Draws as the report does, and prints which backend the settings of matplotlib name.
DRAW = """
from ray_defense.reports.figures import as_svg
as_svg(lambda axes: axes.plot([1, 2]), 2, 2)
import matplotlib, os
print(matplotlib.rcParams["backend"], os.getcwd())
"""
# Imports FFCV as the reader does, has numba read its settings as it does before it compiles, and
# prints what they are.
READ_BY_FFCV = """
import numpy as np
from ray_defense.data.shards import ffcv_reader
ffcv_reader._import_ffcv()
from numba.core import config
config.reload_config()
print(config.DISABLE_JIT, repr(config.CACHE_DIR))
"""
# Runs a command line and prints what it opened below the current directory.
OPENED_FILES = """
import os, sys
from ray_defense.core.import_path import drop_current_directory
drop_current_directory()
here = os.getcwd()
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(here + os.sep):
            print("OPENED", path, file=sys.stderr)
sys.addaudithook(note)
from ray_defense.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def hostile(tmp_path: Path) -> HostileDirectory:
    return HostileDirectory(tmp_path)


def run_inside(
    hostile: HostileDirectory, *command: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Runs a command in the folder, as a user who has set `variables`."""
    return subprocess.run(
        command,
        cwd=hostile.folder,
        env=ordinary_environment(hostile.folder.parent, variables),
        capture_output=True,
        text=True,
        timeout=300,
    )


def make_environment(folder: Path) -> Path:
    """Makes an environment of this Python, stamped such that run.sh installs nothing."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    made_for = f'{{ cat "{PACKAGE_ROOT}/pyproject.toml" && "{python}" -V; }} 2>&1 | cksum'
    key = subprocess.run(["sh", "-c", made_for], capture_output=True, text=True, check=True).stdout
    (folder / ".ray-defense-stamp").write_text(f"{key.strip()} ffcv\n")
    return folder


def test_a_python_that_imports_from_the_current_directory_leaves_a_mark(
    hostile: HostileDirectory,
) -> None:
    finished = run_inside(hostile, sys.executable, "-c", "import torch")
    assert "a module of the data was imported" in finished.stderr
    assert hostile.marks.startswith("torch ran")


@pytest.mark.parametrize(
    ("command", "pythonpath"),
    [
        pytest.param([*RUN_SH, "list"], "", id="run.sh"),
        # An empty word means the current directory; Python imports sitecustomize from there.
        pytest.param([*RUN_SH, "list"], ":", id="run.sh with an empty word in PYTHONPATH"),
        pytest.param([str(CONSOLE_SCRIPT), "list"], PACKAGE_ROOT, id="console script"),
        pytest.param([*MODULE, "list"], PACKAGE_ROOT, id="module"),
        pytest.param([*JOB, "digits_badnets", "--print-config"], PACKAGE_ROOT, id="job"),
    ],
)
def test_no_way_to_start_it_runs_a_file_of_the_current_directory(
    hostile: HostileDirectory, tmp_path: Path, command: list[str], pythonpath: str
) -> None:
    environment = make_environment(tmp_path / "environment")
    variables = {"RAY_DEFENSE_VENV": str(environment), "PYTHONPATH": pythonpath}
    finished = run_inside(hostile, *command, **variables)
    assert finished.returncode == 0, finished.stderr
    assert "digits_badnets" in finished.stdout
    assert hostile.marks == ""


def test_the_module_still_starts_from_the_root_of_the_package(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    without_bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(f"{PACKAGE_ROOT}/ray_defense", copy / "ray_defense", ignore=without_bytecode)
    (copy / "ray_defense" / "core" / "version.py").write_text('VERSION = "0+copy"\n')
    environment = ordinary_environment(tmp_path, {"PYTHONPATH": ""})
    command = [*MODULE, "--version"]
    finished = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert finished.stdout == "ray-defense 0+copy\n"


def test_a_check_of_doctor_runs_no_file_of_the_current_directory(
    hostile: HostileDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hostile.folder)
    monkeypatch.setenv("PYTHONPATH", ":")
    code = "import argparse, rich, ray_defense, os; print(os.listdir())"
    finding = run_check(Check("part", code, "install it", needed=True))
    assert finding.error is None
    assert finding.output == "[]"
    assert hostile.marks == ""


def test_drawing_takes_no_settings_from_the_current_directory(hostile: HostileDirectory) -> None:
    finished = run_inside(hostile, sys.executable, "-P", "-c", DRAW)
    assert finished.returncode == 0, finished.stderr
    backend, folder = finished.stdout.strip().split(" ", 1)
    assert "evil" not in backend
    assert folder == str(hostile.folder)


@pytest.mark.long
def test_ffcv_takes_no_settings_from_the_current_directory(hostile: HostileDirectory) -> None:
    """A folder of numba's caches holds pickles, which numba executes."""
    pytest.importorskip("ffcv")
    finished = run_inside(hostile, sys.executable, "-P", "-W", "ignore", "-c", READ_BY_FFCV)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "0 ''\n"
    assert hostile.marks == ""


@pytest.mark.long
def test_a_whole_run_opens_nothing_in_the_current_directory(hostile: HostileDirectory) -> None:
    words = ["run", "digits_badnets", "--executor", "local", "--store", f"{hostile.folder}/../s"]
    for setting in ("probe.epochs=1", "probe.intra_epochs=1", "defenses=none", "backdoored=none"):
        words += ["--set", setting]
    finished = run_inside(hostile, sys.executable, "-P", "-c", OPENED_FILES, *words)
    assert finished.returncode == 0, finished.stderr
    assert "OPENED" not in finished.stderr
    assert hostile.marks == ""
