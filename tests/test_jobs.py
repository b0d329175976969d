"""Jobs are the command line as scripts."""

import subprocess
import sys
from pathlib import Path

JOB = Path(__file__).resolve().parent.parent / "jobs" / "pipeline.py"


def test_the_pipeline_job_takes_the_arguments_of_run():
    done = subprocess.run([sys.executable, JOB, "digits_badnets", "--print-config"], capture_output=True, text=True, check=True)
    assert '"name": "digits_badnets"' in done.stdout


def test_the_pipeline_job_exits_as_the_command_line_does():
    done = subprocess.run([sys.executable, JOB, "digits_badnet"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "digits_badnets" in done.stderr
