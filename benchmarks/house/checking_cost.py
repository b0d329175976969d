"""What comparing files with their records costs: its share of the seconds of a cached run.

    python -m benchmarks.house.checking_cost

A cached run finds everything in its store. Each is a fresh process with one thread, in which the
readers that check are timed from their call to their return; importing modules is not their time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.house.command_seconds import RECIPE, SHORT_RUN
from benchmarks.support import open_study, study_parser

MODULE = "benchmarks.house.checking_cost"
_TIMED_RUN = """
import time
start = time.perf_counter()
import functools, json, os, sys

checking = {"seconds": 0.0, "calls": 0, "depth": 0}

def timed(function):
    @functools.wraps(function)
    def call(*arguments, **named):
        checking["depth"] += 1
        begun = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            checking["depth"] -= 1
            if not checking["depth"]:
                checking["seconds"] += time.perf_counter() - begun
                checking["calls"] += 1
    return call

# Modules that are imported after this take the timed readers.
from ray_defense.core import sealed
for name in ("read_sealed", "read_sealed_json", "open_sealed", "open_sealed_json"):
    setattr(sealed, name, timed(getattr(sealed, name)))
from ray_defense.store import record
for name in ("read_record", "read_timing", "recorded_files"):
    setattr(record, name, timed(getattr(record, name)))
from ray_defense.store import checked_files
for name in ("checked_file", "read_checked_bytes", "read_checked_json", "hashes_of"):
    setattr(checked_files, name, timed(getattr(checked_files, name)))
from ray_defense.cli.main import main
with open(os.devnull, "w") as sink:
    stdout, sys.stdout = sys.stdout, sink
    code = main(sys.argv[1:])
    sys.stdout = stdout
assert code == 0
total = time.perf_counter() - start
print(json.dumps({"total_s": total, "checking_s": checking["seconds"], "calls": checking["calls"]}))
"""


def cached_run(store: Path, code: str = _TIMED_RUN) -> dict[str, Any]:
    """Runs the recipe in a fresh process and returns its seconds and those of checking."""
    words = ["run", RECIPE, "--quiet", "--executor", "local", "--store", str(store)]
    for assignment in SHORT_RUN:
        words += ["--set", assignment]
    finished = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return figures


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--repeats", type=int, default=7, help="counted runs (default: 7)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures cached runs."""
    options = command_parser().parse_args(arguments)
    with (
        open_study(MODULE, arguments, options.results) as study,
        tempfile.TemporaryDirectory() as t,
    ):
        cached_run(Path(t))  # fills the store
        runs = []
        for turn in range(options.repeats):
            runs.append(study.measure(f"turn {turn}", lambda: cached_run(Path(t))))
        fractions = [run["checking_s"] / run["total_s"] for run in runs]
        figures = {
            "recipe": RECIPE,
            "runs": runs,
            "median_total_s": round(median(run["total_s"] for run in runs), 3),
            "median_checking_s": round(median(run["checking_s"] for run in runs), 4),
            "median_checking_fraction": round(median(fractions), 5),
        }
        study.store("checking_cost", figures)


if __name__ == "__main__":
    main()
