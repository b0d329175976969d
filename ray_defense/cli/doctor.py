"""`ray-defense doctor`: what this machine has, what is missing, and the line that installs it."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ray_defense.cli.inert import inert
from ray_defense.core.errors import Refused
from ray_defense.core.versions import versions

_TIMEOUT_S = 120
_RAY = "import ray_defense.cluster, ray.data, ray.train"
_GPU = "import torch; print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'none')"


@dataclass(frozen=True)
class Probe:
    """A line of Python whose success in a process of its own shows that a part works."""

    name: str
    code: str
    remedy: str
    needed: bool


@dataclass(frozen=True)
class Finding:
    """What a probe printed, and why it failed, if it did."""

    output: str
    error: str | None


PROBES = (
    Probe("algorithms", "import ray_defense.recipes", "./run.sh list, or pip install -e .", True),
    Probe("GPU", _GPU, "pip install torch torchvision", False),
    Probe("Ray", _RAY, "pip install 'ray[default,data,train,tune]>=2.60,<2.61'", True),
    Probe(
        "FFCV",
        "import ffcv.loader",
        "apt-get install g++ pkg-config python3-dev libopencv-dev libturbojpeg0-dev && pip install ffcv==1.0.2",
        False,
    ),
)


def show() -> int:
    """Prints what there is; raises Refused when what the main job needs is missing."""
    for name, version in versions().items():
        print(f"{name:<14} {version}")
    print(f"{'CPU cores':<14} {len(os.sched_getaffinity(0))}")
    print(f"{'memory':<14} {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB")
    print(f"{'disk free':<14} {shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB here")
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(PROBES, pool.map(examine, PROBES), strict=True))
    for probe, finding in found.items():
        failed = finding.error is not None
        said = f"missing ({finding.error}): {probe.remedy}" if failed else finding.output or "works"
        print(f"{probe.name:<14} {inert(said)}")
    missing = [probe for probe, finding in found.items() if finding.error is not None]
    needed = [probe for probe in missing if probe.needed]
    if needed:
        raise Refused(f"the main job cannot run without {needed[0].name}: {needed[0].remedy}")
    if any(probe.name == "FFCV" for probe in missing):
        print("without FFCV the shards are read by NumPy: the same tensors, more slowly")
    print("the main job can run: ray-defense demo")
    return 0


def examine(probe: Probe) -> Finding:
    """Runs a probe in its own process, so that a crash or a hang of a compiled extension stays there."""
    command = [sys.executable, "-W", "ignore", "-c", probe.code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Finding("", f"no answer within {_TIMEOUT_S} s")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return Finding("", last[0])
    return Finding(done.stdout.strip(), None)
