"""`ray-defense doctor`: what this machine has, what is missing, and the line that installs it."""

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ray_defense.cli.parser import CommandParser
from ray_defense.core.errors import InputError
from ray_defense.core.escape_unprintable import escape_unprintable
from ray_defense.core.import_path import PACKAGE_ROOT, safe_variables
from ray_defense.core.neutral_directory import neutral_directory
from ray_defense.core.usable_cpus import usable_cpus
from ray_defense.core.versions import installed_versions

_TIMEOUT_S = 120
_GIB = 2**30
# One process for both, since importing torch takes seconds.
_ALGORITHMS = (
    "import torch, ray_defense.pipeline.recipes as recipes; "
    "[recipes.named_recipe(name) for name in recipes.RECIPES]; "
    "print('work; GPU:', "
    "torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'none')"
)
_RAY = "import ray; from importlib.util import find_spec; assert find_spec('ray.train.v2')"
# Importing FFCV takes seconds; what usually fails are the libraries of its compiled part.
_FFCV = (
    "import ctypes, pathlib; from importlib.util import find_spec; spec = find_spec('ffcv'); "
    "assert spec, 'no module named ffcv'; "
    "[library] = pathlib.Path(spec.origin).parent.glob('_libffcv*'); ctypes.CDLL(str(library))"
)


@dataclass(frozen=True)
class Check:
    """A line of Python whose success in a process of its own shows that a part works."""

    name: str
    code: str
    remedy: str
    needed: bool


@dataclass(frozen=True)
class Finding:
    """What a check printed, and why it failed, if it did."""

    output: str
    error: str | None


CHECKS = (
    Check("algorithms", _ALGORITHMS, "./run.sh list, or pip install -e .", needed=True),
    Check("Ray", _RAY, "pip install 'ray[default,data,train,tune]>=2.60,<2.61'", needed=True),
    Check(
        "FFCV",
        _FFCV,
        "apt-get install g++ pkg-config python3-dev libopencv-dev libturbojpeg0-dev "
        "&& pip install ffcv==1.0.2",
        needed=False,
    ),
)


class DoctorCommand:
    """Prints what the machine has; raises InputError if a part that every run needs is missing."""

    def add_options(self, parser: CommandParser) -> None:
        pass

    def execute(self, options: argparse.Namespace) -> int:
        _print_machine()
        with ThreadPoolExecutor(2) as pool:
            findings = list(pool.map(run_check, CHECKS))
        missing = []
        for check, finding in zip(CHECKS, findings, strict=True):
            line = finding.output or "works"
            if finding.error is not None:
                missing.append(check)
                line = f"missing ({finding.error}): {check.remedy}"
            print(f"{check.name:<14} {escape_unprintable(line)}")
        for check in missing:
            if check.needed:
                raise InputError(f"the main job cannot run without {check.name}: {check.remedy}")
        if any(check.name == "FFCV" for check in missing):
            print("without FFCV the shards are read by NumPy: the same tensors")
        print("the main job can run: ray-defense demo")
        return 0


def _print_machine() -> None:
    for name, version in installed_versions().items():
        print(f"{name:<14} {version}")
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    print(f"{'CPU cores':<14} {usable_cpus()}")
    print(f"{'memory':<14} {memory_bytes / _GIB:.1f} GiB")
    print(f"{'disk free':<14} {shutil.disk_usage(Path.cwd()).free / _GIB:.1f} GiB here")


def run_check(check: Check) -> Finding:
    """Runs a check in its own process, so that a crash of a compiled extension stays there.

    The process imports nothing from the current directory, and this package from where it is.
    """
    command = [sys.executable, "-P", "-W", "ignore", "-c", check.code]
    variables = {**os.environ, **safe_variables()}
    folders = [PACKAGE_ROOT, variables.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
    try:
        finished = subprocess.run(
            command,
            cwd=neutral_directory(),
            env=variables,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding("", f"no answer within {_TIMEOUT_S} s")
    if finished.returncode:
        lines = finished.stderr.strip().splitlines()
        return Finding("", lines[-1] if lines else f"exit code {finished.returncode}")
    return Finding(finished.stdout.strip(), None)


DOCTOR = DoctorCommand()
