"""Constants of the weak-scaling plan that a CPU can give: an all-reduce, a checkpoint on disk, JPEG in and out at 224 pixels.

python benchmarks/scaling_constants.py

Each is the quickest of several times and their median: the machine is shared, and a plan wants what the code costs.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist
from machine import record
from PIL import Image
from sklearn.datasets import load_sample_images

from ray_defense.data.decode import decode_image
from ray_defense.data.shards.jpeg import decode_jpeg, encode_jpeg
from ray_defense.execution.checkpoint import save_checkpoint
from ray_defense.execution.local import threads
from ray_defense.models import ResNet18, build_model
from ray_defense.training.settings import Sgd

REPEATS = 9
SIDE, QUALITY = 224, 90  # of imagenet200_badnets


def timed(function: Callable[[], object]) -> dict[str, float]:
    """Returns the seconds of `function`, warmed up once."""
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return {"best_s": round(min(seconds[1:]), 6), "median_s": round(median(seconds[1:]), 6)}


def all_reduce(rank: int, folder: str, numbers: int, found: object) -> None:
    """Times, as one of two processes, the sum of `numbers` floats over gloo."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    with threads(1):
        tensor = torch.ones(numbers)
        seconds = timed(lambda: dist.all_reduce(tensor))
    if rank == 0:
        found.put(seconds)
    dist.destroy_process_group()


def measure_all_reduce(numbers: int) -> dict[str, float]:
    """Returns the seconds of one all-reduce between two processes of this machine."""
    context = get_context("spawn")
    found = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        both = [context.Process(target=all_reduce, args=(rank, folder, numbers, found)) for rank in range(2)]
        for one in both:
            one.start()
        seconds = found.get(timeout=300)
        for one in both:
            one.join()
    return {"bytes": 4 * numbers} | seconds


def measure_checkpoint(model: torch.nn.Module) -> dict[str, float]:
    """Returns the seconds and bytes of a checkpoint of `model` and its momentum, written and synced to the local disk."""
    optimizer = Sgd(0.01).build(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    with tempfile.TemporaryDirectory() as folder:
        seconds = timed(lambda: save_checkpoint(Path(folder), state))
        return {"bytes": sum(file.stat().st_size for file in Path(folder).iterdir())} | seconds


def measure_jpeg() -> dict[str, object]:
    """Returns bytes and seconds an image: pages of shards, and what ingest does (decode, resize, encode, decode, hash)."""
    sources = []
    for photo in load_sample_images().images:  # two photographs of 640 x 427 that come with scikit-learn
        buffer = BytesIO()
        Image.fromarray(photo).save(buffer, "JPEG", quality=QUALITY)
        sources.append(buffer.getvalue())
    pages = [encode_jpeg(decode_image(source, SIDE), QUALITY) for source in sources]

    def read() -> None:
        for page in pages:
            decode_jpeg(page, SIDE, SIDE)

    def ingest() -> None:
        for source in sources:
            page = encode_jpeg(decode_image(source, SIDE), QUALITY)
            hashlib.sha256(decode_jpeg(page, SIDE, SIDE)).hexdigest()

    def each(function: Callable[[], None]) -> dict[str, float]:
        return {name: round(one / len(pages), 6) for name, one in timed(function).items()}

    return {"page_bytes": [len(page) for page in pages], "decode": each(read), "ingest": each(ingest)}


if __name__ == "__main__":
    network = build_model(ResNet18(), 10, 0)
    figures = {
        "repeats": REPEATS,
        "load_average_before": round(os.getloadavg()[0], 1),
        "all_reduce_gloo_2_processes": measure_all_reduce(sum(parameter.numel() for parameter in network.parameters())),
        "checkpoint": measure_checkpoint(network),
        "jpeg_224": measure_jpeg(),
    }
    print(record("scaling_constants", figures))
