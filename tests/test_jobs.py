"""The scripts that `ray job submit` runs: arguments in, one command, its exit code out."""

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ray_defense.cli.options import COMMANDS
from ray_defense.cli.parser import parse

ROOT = Path(__file__).resolve().parent.parent
JOBS = sorted((ROOT / "jobs").glob("*.py"))
ADVISED = re.findall(r"^    .*python jobs/(\w+)\.py (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)


def command(job: str) -> str:
    return {"pipeline": "run"}.get(job, job)


def run(script: str, *arguments: str) -> subprocess.CompletedProcess:
    argv = [sys.executable, ROOT / "jobs" / script, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""})


def test_there_is_a_job_for_each_command_that_works_on_a_recipe():
    assert {command(path.stem) for path in JOBS} == set(COMMANDS) - {"demo", "attacks", "list", "doctor"}


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_a_job_is_under_forty_lines_and_nothing_but_its_command(path):
    assert len(path.read_text().splitlines()) < 40
    *_, guarded = ast.parse(path.read_text()).body
    (call,) = guarded.body
    assert ast.unparse(call) == f"sys.exit(main(['{command(path.stem)}', *sys.argv[1:]]))"


def test_every_job_that_the_readme_advises_is_one_that_its_command_takes():
    assert len(ADVISED) >= 3
    for job, arguments in ADVISED:
        _, options = parse([command(job), *shlex.split(arguments)])
        assert options.work.store.startswith("$PWD/")  # a submitted job starts in another folder


def test_the_pipeline_job_takes_the_arguments_of_run():
    config = json.loads(run("pipeline.py", "digits_badnets", "--set", "seed=4", "--print-config").stdout)
    assert config["name"] == "digits_badnets" and config["seed"] == 4 and config["d_st"] is not None


def test_the_score_job_runs_no_model_but_the_probe():
    config = json.loads(run("score.py", "digits_badnets", "--print-config", "--set", "seed=4").stdout)
    assert config["probe"] is not None and all(config[name] is None for name in ("backdoor", "d_br", "d_st"))
    assert config["seed"] == 4


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("pipeline.py", ["digits_badnet"], "did you mean 'digits_badnets'"),
        ("sweep.py", ["digits_badnets", "--named", "transform"], "did you mean 'transforms'"),
    ],
)
def test_a_job_that_is_refused_ends_with_2_and_one_line(script, arguments, said):
    done = run(script, *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
