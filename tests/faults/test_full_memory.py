"""Where Ray ends every process because the memory is full, the run ends, in one line.

Row 3 of the faults, work that never ends: Ray by itself tries such a task again for ever.
"""

import sys
from pathlib import Path

import pytest

from tests.support.ray_processes import call_command

pytestmark = [
    pytest.mark.ray,
    pytest.mark.chaos,
    pytest.mark.long,
    pytest.mark.timeout(900),
]
# So little memory that the monitor finds too much in use at every look.
FULL_MEMORY = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100"}


@pytest.mark.parametrize("stage", ["ingest", "probe", "evidence"])
def test_a_run_whose_processes_are_all_ended_for_memory_ends_in_one_line(
    tmp_path: Path, stage: str
) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-m", "ray_defense", "detect", "digits_badnets", "--quiet"]
    command += ["--backend", "numpy", "--store", str(store)]
    command += ["--set", "probe.epochs=1", "--set", "probe.intra_epochs=0"]
    stages = ["ingest", "probe", "evidence"]
    if stage != "ingest":
        assert call_command(*command, "--executor", "local").returncode == 0
        made_anew = [*stages[stages.index(stage) :], "split", "evaluation", "report"]
        for name in made_anew:
            (store / name).rename(tmp_path / name)
    finished = call_command(*command, variables=FULL_MEMORY)
    assert finished.returncode == 3
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1, finished.stderr
    assert len(finished.stderr) < 1000
    assert stage in finished.stderr
    assert "the memory of a node was full" in finished.stderr
