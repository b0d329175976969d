"""SIGKILL of whoever works, its node and the driver at every stage: recovered or not, and the seconds it cost.

python benchmarks/fault_matrix.py [--repeats 3]
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import record

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import faults  # noqa: E402
import tiny  # noqa: E402


def measure(repeats: int) -> dict[str, Any]:
    """Returns every cell: whether all bytes came out as in the run left alone, each time, and the median of the seconds."""
    cells = []
    with tempfile.TemporaryDirectory() as folder, faults.cluster() as made:
        data, reference = Path(folder, "data"), Path(folder, "reference")
        data.mkdir()
        tiny.write_digits(data)
        faults.make_reference(data, reference)
        for stage in faults.STAGES:
            for target in ("none", *faults.TARGETS):
                tries = [faults.try_cell(made, reference, data, Path(folder), stage, target) for _ in range(repeats)]
                for one in tries:
                    print(one, file=sys.stderr)
                cells.append(
                    {
                        "stage": stage,
                        "killed": target,
                        "recovered": all(one.recovered and one.struck == (target != "none") for one in tries),
                        "seconds": round(statistics.median(one.seconds for one in tries), 1),
                    }
                )
    alone = {cell["stage"]: cell["seconds"] for cell in cells if cell["killed"] == "none"}
    for cell in cells:
        cell["seconds_lost"] = round(cell["seconds"] - alone[cell["stage"]], 1)
    return {"cells": cells, "repeats": repeats, "all_recovered": all(cell["recovered"] for cell in cells)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    print(record("fault_matrix", measure(parser.parse_args().repeats)))
