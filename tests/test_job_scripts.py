"""The scripts that `ray job submit` runs: arguments in, the command line's exit code out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(script: str, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "jobs" / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""})


def test_the_score_job_runs_no_model_but_the_probe():
    config = json.loads(run("score.py", "digits_badnets", "--print-config").stdout)
    assert config["probe"] is not None and all(config[name] is None for name in ("backdoor", "d_br", "d_st"))


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
