"""The constants of `deploy/scaling.md`: measured ones with their file in `results/`, assumed ones with their source."""

import json
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "results"

ASSUMED = {  # name -> (value, unit, where it comes from)
    "flops": (989e12, "FLOP/s", "H200, dense bfloat16, NVIDIA's data sheet"),
    "utilization": (0.1, "of it", "a guess for networks this small; never measured by us"),
    "step_s": (0.01, "s", "a guess: no step is quicker, for Python and kernel launches (model, views, optimizer)"),
    "gpus_per_node": (8, "GPUs", "the usual server; `cluster.yaml` has 1"),
    "cpus_per_gpu": (16, "cores", "a guess; `cluster.yaml` has 8"),
    "inside_node": (200e9, "B/s", "a guess under NVLink's 900 GB/s of the data sheet"),
    "between_nodes": (12.5e9, "B/s", "100 Gb/s a node, line rate"),
    "disk": (1e9, "B/s", "one NFS server behind 10 Gb/s"),
    "source_bytes": (110_000, "B", "an ImageNet file: 138 GB over 1.28 million images"),
    "imagenet_images": (100_000, "images", "200 classes of 500, the paper's Appendix C"),
}


def assumed(name: str) -> float:
    """Returns an assumed constant."""
    return ASSUMED[name][0]


@cache
def _load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name).read_text())


def start_train_s() -> float:
    """Returns at most what starting and ending a run of Ray Train takes: half of what no stage of a whole run accounts for."""
    runs = [_load(path.name) for path in sorted(RESULTS.glob("run_digits_badnets_seed*.json"))]
    return median((run["wall_s"] - sum(run["result"]["seconds"].values())) / 2 for run in runs)


def measured() -> dict[str, tuple[float, str, str]]:
    """Returns name -> (value, unit, file and what it is)."""
    constants, small = _load("scaling_constants.json"), _load("run_cifar10_badnets_small_seed0.json")
    reduced, checkpoint, jpeg = (constants[name] for name in ("all_reduce_gloo_2_processes", "checkpoint", "jpeg_224"))
    images, cores = 20_000, small["machine"]["cores"]
    one = "`scaling_constants.json`: "
    return {
        "train_start_s": (
            start_train_s(),
            "s",
            "`run_digits_badnets_seed*.json`: half of the wall time outside all stages, an upper bound",
        ),
        "actor_start_s": (_load("scoring_resnet18.json")["startup_s"], "s", "`scoring_resnet18.json`: two actors with FFCV"),
        "score_ratio": (_load("scoring_resnet18.json")["ratio_median"], "", "`scoring_resnet18.json`: bare passes over stage"),
        "checkpoint_rate": (checkpoint["bytes"] / checkpoint["best_s"], "B/s", one + "saved, written and synced, local disk"),
        "gloo_rate": (reduced["bytes"] / reduced["best_s"], "B/s", one + "ResNet-18's gradient, two processes on one machine"),
        "page_bytes": (sum(jpeg["page_bytes"]) / len(jpeg["page_bytes"]), "B", one + "JPEG of 224 pixels, two photographs"),
        "decode_rate": (1 / jpeg["decode"]["best_s"], "images/s", one + "the same through Pillow, one thread"),
        "ingest_rate": (1 / jpeg["ingest"]["best_s"], "images/s", one + "decode, resize, encode, check, hash; one thread"),
        "ingest_rate_32": (
            images / small["result"]["seconds"]["suspect"] / cores,
            "images/s",
            "`run_cifar10_badnets_small_seed0.json`: the suspect stage over its cores, start of its tasks included",
        ),
        "object_store": (
            _load("memory.json")["growth"]["object_store_bytes_per_sample"],
            "B an image",
            "`memory.json`: object store, growth of its peak from 2,000 to 20,000 images of 12,288 B",
        ),
    }


def known(name: str) -> float:
    """Returns a measured constant."""
    return measured()[name][0]
