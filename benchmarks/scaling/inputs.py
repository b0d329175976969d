"""The constants of the plan: measured ones with their file in results/, assumed ones with why."""

from dataclasses import dataclass
from functools import cache
from statistics import mean, median
from typing import Any

from benchmarks.documents import load_result, load_results


@dataclass(frozen=True)
class Constant:
    """A number of the plan."""

    value: float
    unit: str
    source: str  # a file of results and what is measured there, or why it is assumed


ASSUMED = {
    "flops": Constant(989e12, "FLOP/s", "H200, dense bfloat16, NVIDIA's data sheet"),
    "utilization": Constant(
        0.1,
        "of it",
        "a guess for networks this small; what an H200 said stands below",
    ),
    "step_s": Constant(0.01, "s", "a guess: no step takes less, for Python and kernel launches"),
    "gpus_per_node": Constant(8, "GPUs", "the usual server; `cluster.yaml` has 1"),
    "cpus_per_gpu": Constant(16, "cores", "a guess; `cluster.yaml` has 8"),
    "inside_node": Constant(200e9, "B/s", "a guess under NVLink's 900 GB/s of the data sheet"),
    "between_nodes": Constant(12.5e9, "B/s", "100 Gb/s a node, line rate"),
    "disk": Constant(1e9, "B/s", "one NFS server behind 10 Gb/s"),
    "source_bytes": Constant(110_000, "B", "an ImageNet file: 138 GB over 1.28 million images"),
    "imagenet_images": Constant(100_000, "images", "200 classes of 500, the paper's Appendix C"),
}

_NUM_CIFAR_IMAGES = 20_000  # of cifar10_badnets_small


def assumed(name: str) -> float:
    """Returns an assumed constant."""
    return ASSUMED[name].value


def measured(name: str) -> float:
    """Returns a measured constant."""
    return measured_constants()[name].value


@cache
def measured_constants() -> dict[str, Constant]:
    """Returns the measured constants by name."""
    constants = load_result("scaling/constants.json")
    reduced = constants["all_reduce_gloo_2_processes"]
    checkpoint = constants["checkpoint"]
    jpeg = constants["jpeg_224"]
    scoring = load_result("scoring/resnet18.json")
    small = load_result("recipes/cifar10_badnets_small_seed0.json")
    ingest_s = small["result"]["seconds"]["ingest"]
    growth = load_result("memory/dataset_size.json")["growth"]
    of_constants = "`scaling/constants.json`"
    return {
        "train_start_s": Constant(
            train_start_s(),
            "s",
            "`recipes/digits_badnets_seed*.json`: "
            "half of the wall time outside of all stages, an upper bound",
        ),
        "actor_start_s": Constant(
            scoring["startup_s"], "s", "`scoring/resnet18.json`: two actors with FFCV"
        ),
        "score_ratio": Constant(
            scoring["ratio_median"], "", "`scoring/resnet18.json`: bare passes over stage"
        ),
        "checkpoint_rate": Constant(
            checkpoint["bytes"] / checkpoint["best_s"],
            "B/s",
            f"{of_constants}: saved, written and synced, local disk",
        ),
        "gloo_rate": Constant(
            reduced["bytes"] / reduced["best_s"],
            "B/s",
            f"{of_constants}: ResNet-18's gradient, two processes on one machine",
        ),
        "page_bytes": Constant(
            mean(jpeg["page_bytes"]),
            "B",
            f"{of_constants}: JPEG of 224 pixels, two photographs",
        ),
        "decode_rate": Constant(
            1 / jpeg["decode"]["best_s"],
            "images/s",
            f"{of_constants}: the same through Pillow, one thread",
        ),
        "ingest_rate": Constant(
            1 / jpeg["ingest"]["best_s"],
            "images/s",
            f"{of_constants}: decode, resize, encode, check, hash; one thread",
        ),
        "ingest_rate_32": Constant(
            _NUM_CIFAR_IMAGES / ingest_s / small["machine"]["cores"],
            "images/s",
            "`recipes/cifar10_badnets_small_seed0.json`: "
            "ingest over its cores, start of its tasks included",
        ),
        "object_store": Constant(
            growth["object_store_bytes_per_sample"],
            "B an image",
            "`memory/dataset_size.json`: "
            "growth of the object store's peak from 2,000 to 20,000 images of 12,288 B",
        ),
    }


def train_start_s() -> float:
    """Returns at most what starting and ending a run of Ray Train takes.

    It is half of what no stage of a whole run accounts for.
    """
    halves = []
    for run in load_results("recipes/digits_badnets_seed*.json").values():
        halves.append(_unaccounted_s(run) / 2)
    return median(halves)


def _unaccounted_s(run: dict[str, Any]) -> float:
    in_stages: float = sum(run["result"]["seconds"].values())
    wall_s: float = run["wall_s"]
    return wall_s - in_stages
