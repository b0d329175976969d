"""An interrupt while networks train side by side ends the command as any other, and it resumes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ray_defense.core.usable_cpus import usable_cpus

SETTINGS = ("detect.detectors=mirror", "decide=evidence", "decide.grown=none")
SETTINGS += ("decide.one_sided=none", "decide.trusted_by=mirror")


@pytest.mark.skipif(usable_cpus() < 2, reason="one CPU trains one network at a time")
def test_an_interrupt_ends_all_trainings_and_leaves_no_thread_behind(tmp_path: Path):
    words = [sys.executable, "-m", "ray_defense", "detect", "digits_badnets"]
    words += ["--executor", "local", "--store", str(tmp_path)]
    for setting in SETTINGS:
        words += ["--set", setting]
    process = subprocess.Popen(
        words,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    lines = []
    begun = set()
    while len(begun) < 2:
        line = process.stdout.readline()
        assert line, "".join(lines)
        lines.append(line)
        if line.startswith("mirror_fold_"):
            begun.add(line.split(":")[0])
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert "interrupted: the same command resumes" in out
    assert process.returncode == 130, out
    assert not list(tmp_path.glob("mirror_fold_*/*/model.safetensors"))
