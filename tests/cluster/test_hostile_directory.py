"""No process of Ray runs a file of the folder in which the driver was started.

That folder may be a dataset from a stranger. The folder of the user's own script is another matter:
what it defines works on Ray as in the script itself.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ray_defense.core.import_path import PACKAGE_ROOT
from tests.support.hostile_directory import HostileDirectory, ordinary_environment

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

EXTENDING = Path(PACKAGE_ROOT, "docs", "extending.md").read_text()
# Stamps by the attack of `my_attacks` in a process of Ray, which says where it imports from.
SCRIPT = """
import json, os, sys
import numpy as np
import psutil
from my_attacks import CornerPixel
from ray_defense.cluster.session import start_executor

def stamp(attack):
    import matplotlib, pandas, PIL.Image, torch, torchvision
    image = attack.stamp(np.zeros((1, 4, 4, 3), np.uint8), np.zeros(1, np.int64))
    return {
        "pixel": int(image[0, -1, -1, 0]),
        "folder": os.getcwd(),
        "safe": bool(sys.flags.safe_path),
        "path": sys.path,
        "backend": matplotlib.rcParams["backend"],
    }

if __name__ == "__main__":
    executor = start_executor("numpy")
    (found,) = executor.map(stamp, [CornerPixel(level=77)])
    folders = set()
    for process in psutil.Process().children(recursive=True):
        folders.add(process.cwd())
    found["folders"] = sorted(folders)
    executor.close()
    print(json.dumps(found))
"""


def run_script(hostile: HostileDirectory, script: Path) -> dict[str, Any]:
    """Runs the script inside the hostile folder, by its relative path; returns what it prints."""
    relative = Path("..", script.relative_to(hostile.folder.parent))
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", str(relative)],
        cwd=hostile.folder,
        env=ordinary_environment(hostile.folder.parent),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert finished.returncode == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def test_processes_of_ray_import_what_the_script_imports_and_nothing_from_the_current_directory(
    tmp_path: Path,
) -> None:
    hostile = HostileDirectory(tmp_path)
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    attack = re.search(r"corner_pixel.py`:\n\n```python\n(.*?)```", EXTENDING, re.DOTALL)
    assert attack is not None
    (scripts / "my_attacks.py").write_text(attack[1])
    (scripts / "own.py").write_text(SCRIPT)
    found = run_script(hostile, scripts / "own.py")
    assert found["pixel"] == 77
    assert str(scripts) in found["path"]
    assert str(hostile.folder) not in found["path"]
    assert "" not in found["path"]
    assert found["safe"]
    assert "evil" not in found["backend"]
    assert found["folders"] == [found["folder"]]  # of raylet, workers and all others
    assert found["folder"] != str(hostile.folder)
    assert not Path(found["folder"]).exists()  # it went with the driver
    assert hostile.marks == ""


@pytest.mark.long
@pytest.mark.parametrize("command", ["detect", "sweep"])
def test_no_stage_on_ray_runs_a_file_of_the_current_directory(tmp_path: Path, command: str) -> None:
    """Tasks of Ray Data, workers of Train, scoring actors, mapped tasks and trials of Tune."""
    hostile = HostileDirectory(tmp_path)
    words = [command, "digits_badnets", "--quiet", "--store", str(tmp_path / "store")]
    for setting in ("probe.epochs=1", "probe.intra_epochs=1"):
        words += ["--set", setting]
    if command == "sweep":
        words += ["--set", "defenses=none", "--set", "backdoored=none"]
        words += ["--grid", "decide.trusted_fraction=0.2,0.3"]
    finished = subprocess.run(
        [sys.executable, "-m", "ray_defense", *words],
        cwd=hostile.folder,
        env=ordinary_environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    assert hostile.marks == ""
