"""The local path needs nothing that Linux alone has: macOS lacks it, and other systems more."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ray_defense.core.config import to_plain
from ray_defense.core.files import write_json
from tests.support import tiny

ROOT = Path(__file__).parents[2]
# Hides what Linux has and others lack, then runs a command. Some packages of others ask for fcntl
# where they can do without it, and so they are told the same.
HIDDEN = """
import os, sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name in HIDDEN_MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

HIDDEN_MODULES = set(sys.argv[1].split(",")) - {""}
sys.meta_path.insert(0, Hide())
for name in HIDDEN_MODULES:
    sys.modules.pop(name, None)
for name in ("sched_getaffinity", "posix_fadvise", "memfd_create", "pidfd_open"):
    if hasattr(os, name):
        delattr(os, name)
from ray_defense.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def call_hidden(hidden: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HIDDEN, hidden, *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(cwd)},
    )


def test_the_local_path_runs_without_what_linux_alone_has(tmp_path: Path) -> None:
    tiny.write_digits(tmp_path)
    recipe = replace(tiny.recipe(tmp_path), backdoored=None, defenses=())
    write_json(tmp_path / "recipe.json", to_plain(recipe))
    words = ["run", "--config", "recipe.json", "--executor", "local", "--backend", "numpy"]
    finished = call_hidden("fcntl", *words, "--store", "store", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "no file locks" in finished.stderr
    result = json.loads((tmp_path / "store" / "result.json").read_text())
    assert 0 <= result["score"]["auroc"] <= 1


@pytest.mark.parametrize("command", [["list"], ["audit", "--help"]])
def test_commands_that_compute_nothing_run_without_it(tmp_path: Path, command: list[str]) -> None:
    finished = call_hidden("fcntl", *command, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout


def test_the_audit_is_imported_without_it(tmp_path: Path) -> None:
    code = "import ray_defense.pipeline.audit, ray_defense.exports.export_audit"
    block = HIDDEN.rpartition("from ray_defense")[0]
    finished = subprocess.run(
        [sys.executable, "-c", block + code, "fcntl"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert finished.returncode == 0, finished.stderr
