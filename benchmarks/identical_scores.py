"""The same bytes of scores and split: without Ray, with 1, 2 and 4 actors on 1 and 2 nodes, killed and resumed.

Nodes are raylets of one machine. python benchmarks/identical_scores.py
"""

import shutil
import signal
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from machine import record

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import faults  # noqa: E402

CHANGES = faults.SCORES_ONLY | {"score.batch_size": "125", "score.block_size": "125"}  # 12 blocks


def run(task: faults.Task, address: str | None) -> None:
    """Runs the task, again after each kill of its driver; without an address, in this process."""
    if address is None:
        from ray_defense.execution.local import LocalExecutor

        return faults.run(task, LocalExecutor(task.backend))
    while (done := faults.drive(task, address)).returncode == -signal.SIGKILL:
        pass
    if done.returncode:
        raise RuntimeError(done.stderr)


def measure() -> dict[str, Any]:
    """Returns the SHA-256 of scores.parquet and split.parquet for every way; suspect dataset and probe are made once."""
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:

        def way(name: str, address: str | None, **given: Any) -> None:
            store, first = Path(folder, f"store-{len(found)}"), Path(folder, "store-0")
            if found:  # the later ones only score and split
                shutil.copytree(first, store)
                for made in ("score", "split"):
                    shutil.rmtree(store / made)
            run(faults.Task(str(store), "", "digits_badnets", CHANGES, **given), address)
            made = {place.split("/")[0]: files for place, files in faults.hashes(store).items()}
            found[name] = {stage: made[stage][f"{file}.parquet"] for stage, file in (("score", "scores"), ("split", "split"))}

        for backend in ("numpy", "ffcv"):
            way(f"no Ray, {backend}", None, backend=backend)
        for nodes in (1, 2):
            with faults.cluster(nodes, cpus=4) as made:
                for actors, backend in product((1, 2, 4), ("numpy", "ffcv")):
                    placement = {"actors": actors, "spread": True, "nodes": nodes}
                    name = f"{actors} actors, {nodes} nodes, {backend}"
                    way(name, made.address, backend=backend, placement=placement)
                for target in faults.TARGETS if nodes == 2 else ():
                    fault = faults.Fault(target, "scoring", str(Path(folder, f"struck-{target}")))
                    way(
                        f"2 actors, 2 nodes, {target} killed",
                        made.address,
                        placement={"actors": 2, "spread": True},
                        fault=fault,
                    )
                    if not Path(fault.marker).exists():
                        raise RuntimeError(f"the {target} was not killed")
                    faults.mend(made, cpus=4)
    return {"recipe": "digits_badnets", "sha256": found, "identical": len({str(one) for one in found.values()}) == 1}


if __name__ == "__main__":
    print(record("identical_scores", measure()))
