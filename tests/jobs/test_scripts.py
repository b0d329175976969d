"""The scripts that `ray job submit` runs: arguments in, one command, its exit code out."""

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ray_defense.cli.commands import COMMANDS
from ray_defense.cli.main import parse_command_line

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "jobs").glob("*.py"))
# Commands that are no job: they run in no time or without Ray, or run a recipe of `run`.
NO_JOBS = {
    *("verify", "demo", "attacks preview", "attacks check", "list", "doctor"),
    *("export", "runs", "show", "compare", "leaderboard"),
}
ADVICE = re.compile(r"^    .*python jobs/(\w+)\.py (.+)$", re.MULTILINE)


def command_of(script: str) -> str:
    """Returns the command that a script runs, by the script's name without suffix."""
    return "run" if script == "pipeline" else script


def advised_jobs() -> list[tuple[str, str]]:
    """Returns the jobs that the README and the documentation advise, each with its arguments."""
    advised: list[tuple[str, str]] = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))):
        advised.extend(ADVICE.findall(page.read_text()))
    return advised


def call_script(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "jobs" / script, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )


def test_there_is_a_job_for_each_command_that_works_on_a_recipe() -> None:
    assert {command_of(path.stem) for path in SCRIPTS} == set(COMMANDS) - NO_JOBS


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_job_is_under_forty_lines_and_nothing_but_its_command(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) < 40
    guard = ast.parse(source).body[-1]
    assert isinstance(guard, ast.If)
    (statement,) = guard.body
    expected = f"sys.exit(main(['{command_of(path.stem)}', *sys.argv[1:]]))"
    assert ast.unparse(statement) == expected


def test_every_job_that_the_pages_advise_is_one_that_its_command_takes() -> None:
    advised = advised_jobs()
    assert len(advised) >= 3
    for script, arguments in advised:
        _, options = parse_command_line([command_of(script), *shlex.split(arguments)])
        assert options.store.startswith("$PWD/")  # a submitted job starts in another folder


def test_the_pipeline_job_takes_the_arguments_of_run() -> None:
    finished = call_script("pipeline.py", "digits_badnets", "--set", "seed=4", "--print-config")
    config = json.loads(finished.stdout)
    assert config["name"] == "digits_badnets"
    assert config["seed"] == 4
    assert "d_st" in [defense["kind"] for defense in config["defenses"]]


def test_the_detect_job_takes_the_arguments_of_detect() -> None:
    finished = call_script("detect.py", "digits_badnets", "--print-config", "--set", "seed=4")
    config = json.loads(finished.stdout)
    assert config["name"] == "digits_badnets"
    assert config["seed"] == 4


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("pipeline.py", ["digits_badnet"], "did you mean 'digits_badnets'"),
        (
            "sweep.py",
            ["digits_badnets", "--named", "transform"],
            "did you mean 'transforms'",
        ),
    ],
)
def test_a_job_that_is_refused_ends_with_2_and_one_line(
    script: str, arguments: list[str], message: str
) -> None:
    finished = call_script(script, *arguments)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1
