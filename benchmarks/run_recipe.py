"""A recipe as a user runs it: `./run.sh run RECIPE` on Ray in a fresh store, its wall time and every number it prints.

python benchmarks/run_recipe.py digits_badnets --seed 0
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import record

ROOT = Path(__file__).resolve().parent.parent


def measure(recipe: str, seed: int) -> dict[str, object]:
    """Returns the numbers of one run; installation is not in its seconds, start-up of Ray is."""
    with tempfile.TemporaryDirectory() as store:
        subprocess.run([ROOT / "run.sh", "list"], check=True, stdout=subprocess.DEVNULL)  # installs what is missing
        start = time.perf_counter()
        command = [ROOT / "run.sh", "run", recipe, "--store", store, "--set", f"seed={seed}"]
        subprocess.run(command, check=True, stdout=sys.stderr)
        wall_s = time.perf_counter() - start
        result = json.loads((Path(store) / "result.json").read_text())
    for name in ("artifacts", "report", "versions"):  # paths of a store that is gone; versions are recorded beside
        del result[name]
    return {"wall_s": round(wall_s, 1), "executor": "ray", "result": result}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(record(f"run_{arguments.recipe}_seed{arguments.seed}", measure(arguments.recipe, arguments.seed)))
