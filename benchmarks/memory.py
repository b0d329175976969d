"""Memory over the size of the dataset: of the driver, of every role of Ray worker and of the object store.

    python benchmarks/memory.py --data DIR [--images 2000 8000 20000] [--model small_resnet|resnet18]

DIR holds tinyimagenet-train.parquet. Each size runs shard (with BadNets) -> probe (one epoch, nothing resident) -> score on
a Ray of its own. A role is what a worker's process title says it does; what a worker keeps after its task counts as IDLE.
"""

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from machine import record

from ray_defense.attacks import BadNets
from ray_defense.cluster import RayExecutor
from ray_defense.core import progress
from ray_defense.data.sources import SOURCES
from ray_defense.models import MODELS
from ray_defense.stages import detect as score
from ray_defense.stages import ingest as shard
from ray_defense.stages import poison, probe
from ray_defense.stages.attacker.material import Armed
from ray_defense.stages.context import Context, train_missing
from ray_defense.store.artifacts import Store
from ray_defense.training.settings import Workers
from ray_defense.training.views import NORMALIZATIONS

MIB = 1 << 20
INTERVAL_S = 0.2
SIZE = 64  # pixels
SHARD_SIZE = 500  # small enough for several shards of the smallest dataset: a shard is what a task holds


class Sampler:
    """Looks at this process and Ray's below it, again and again."""

    def __init__(self) -> None:
        self.stage = "start"
        self.uss: dict[str, dict[str, list[int]]] = {}  # role -> stage -> bytes of the largest process at each look
        self.object_store = 0  # bytes
        self._done = threading.Event()

    def look(self) -> None:
        """Takes one sample: memory of no other process, which includes the pages of files that it alone has mapped."""
        driver = psutil.Process()
        found = {"driver": driver.memory_full_info().uss}
        for process in driver.children(recursive=True):
            with contextlib.suppress(psutil.Error, IndexError, OSError):  # it ended meanwhile
                title = process.cmdline()[0]
                if os.path.basename(title) == "raylet":
                    self.object_store = max(self.object_store, _store_bytes(process.pid))
                elif title.startswith("ray::"):
                    role = title.removeprefix("ray::").split("(")[0].split()[0].split(".")[0]  # of a method: its class
                    found[role] = max(found.get(role, 0), process.memory_full_info().uss)
        for role, uss in found.items():
            self.uss.setdefault(role, {}).setdefault(self.stage, []).append(uss)

    def figures(self) -> dict[str, dict[str, dict[str, float]]]:
        """Returns by role and stage the peak and the settled memory (median of the second half of the looks) in MiB."""
        return {
            role: {
                stage: {"peak": round(max(seen) / MIB, 1), "settled": round(median(seen[len(seen) // 2 :]) / MIB, 1)}
                for stage, seen in stages.items()
            }
            for role, stages in sorted(self.uss.items())
        }

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Samples from a thread as long as the body runs."""

        def follow() -> None:
            while not self._done.wait(INTERVAL_S):
                self.look()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()


def _store_bytes(raylet: int) -> int:
    """Returns the bytes of the raylet's object store (files of shared memory without a name) that anyone ever touched."""
    files = (os.path.join(f"/proc/{raylet}/fd", number) for number in os.listdir(f"/proc/{raylet}/fd"))
    found = [os.stat(file) for file in files if "plasma" in os.readlink(file)]
    return sum({stat.st_ino: 512 * stat.st_blocks for stat in found}.values())


def measure(data: Path, images: int, model_name: str) -> dict[str, Any]:
    """Returns memory by role and stage, seconds by stage and images/s of scoring for one size of the dataset."""
    sampler, model, blocks = Sampler(), MODELS[model_name](), []
    with tempfile.TemporaryDirectory() as folder, sampler.looking():
        executor = RayExecutor()
        context = Context(Store(folder), executor, 0, NORMALIZATIONS["imagenet"])
        source = SOURCES["parquet"](path=str(data), size=SIZE, limit=images)
        sampler.stage = "shard"
        suspect = poison.run(poison.Poison(), shard.Shard(SHARD_SIZE), source, Armed(BadNets()), context)
        sampler.stage = "probe"
        config = probe.Probe(model, epochs=1, intra_epochs=0, workers=Workers(resident_bytes=0))
        job = probe.job(config, suspect, context)
        train_missing(context, [job])
        sampler.stage = "score"
        progress.listen(lambda what, done, total: blocks.append((time.perf_counter(), done)))
        scores = score.run(score.Score(), suspect, job.artifact, model, context)
        seconds = {"shard": suspect.seconds, "probe": job.artifact.seconds, "score": scores.seconds}
        sampler.stage = "end"
        executor.close()
    (begin, first), (end, last) = next(block for block in blocks if block[1] > 1), blocks[-1]  # both actors are up by then
    return {
        "images": images,
        "pixel_mib": round(images * 3 * SIZE * SIZE / MIB, 1),
        "uss_mib": sampler.figures(),
        "object_store_mib": round(sampler.object_store / MIB, 1),
        "seconds": seconds,
        "score_images_per_s": round(images / seconds["score"], 1),
        "score_images_per_s_once_up": round((last - first) / last * images / (end - begin), 1),
    }


def growth(small: dict[str, Any], large: dict[str, Any]) -> dict[str, Any]:
    """Returns what more samples cost: bytes of memory a sample by role and stage, at the peak and settled."""
    more = large["images"] - small["images"]
    found: dict[str, dict[str, dict[str, int]]] = {}
    for role, stages in large["uss_mib"].items():
        before = small["uss_mib"].get(role, {})
        for stage in stages.keys() & before.keys() - {"start", "end"}:
            change = {name: round((stages[stage][name] - before[stage][name]) * MIB / more) for name in stages[stage]}
            found.setdefault(role, {})[stage] = change
    return {
        "images": [small["images"], large["images"]],
        "pixel_bytes_per_sample": 3 * SIZE * SIZE,
        "uss_bytes_per_sample": found,
        "object_store_bytes_per_sample": round((large["object_store_mib"] - small["object_store_mib"]) * MIB / more),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 8_000, 20_000])
    parser.add_argument("--model", choices=sorted(MODELS), default="small_resnet")
    parser.add_argument("--name", default="memory", help="of the file in results/")
    arguments = parser.parse_args()
    runs, file = [], arguments.data.resolve() / "tinyimagenet-train.parquet"
    for images in sorted(arguments.images):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:  # memory once taken is never given back
            runs.append(fresh.submit(measure, file, images, arguments.model).result())
        print(runs[-1], flush=True)
    figures = {"model": arguments.model, "size": SIZE, "shard_size": SHARD_SIZE, "interval_s": INTERVAL_S, "runs": runs}
    figures["growth"] = growth(runs[0], runs[-1])
    print(figures["growth"])
    print(record(arguments.name, figures))
