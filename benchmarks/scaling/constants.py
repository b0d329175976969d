"""Constants of the plan that a CPU can give: an all-reduce, a checkpoint, JPEG in and out.

    python -m benchmarks.scaling.constants

Each is the quickest of several times, with their median beside it: the machine is shared, and a
plan wants what the code costs.
"""

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks.support import open_study, study_parser
from ray_defense.data.decode import decode_image
from ray_defense.data.shards.jpeg import decode_jpeg, encode_jpeg
from ray_defense.execution.checkpoint import save_checkpoint
from ray_defense.execution.device import torch_threads
from ray_defense.models import MODELS
from ray_defense.models.seeded import build_model
from ray_defense.training.settings import Sgd

MODULE = "benchmarks.scaling.constants"
SIZE = 224  # pixels of a side, of imagenet200_badnets
QUALITY = 90
_PATIENCE_S = 300


def best_and_median_s(function: Callable[[], object], num_repeats: int) -> dict[str, float]:
    """Returns the seconds of a function, the quickest and the median; it is warmed up once."""
    seconds = []
    for _ in range(num_repeats + 1):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return {"best_s": round(min(seconds[1:]), 6), "median_s": round(median(seconds[1:]), 6)}


def time_all_reduce(
    rank: int, folder: str, num_floats: int, num_repeats: int, figures: Any
) -> None:
    """Times, as one of two processes, the sum of floats over gloo; rank 0 tells.

    Args:
        rank: 0 or 1.
        folder: Where the two meet.
        num_floats: How many floats are summed.
        num_repeats: How often.
        figures: The queue that rank 0 puts the seconds into.
    """
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    with torch_threads(1):
        tensor = torch.ones(num_floats)
        seconds = best_and_median_s(partial(dist.all_reduce, tensor), num_repeats)
    if rank == 0:
        figures.put(seconds)
    dist.destroy_process_group()


def measure_all_reduce(num_floats: int, num_repeats: int) -> dict[str, float]:
    """Returns the seconds of one all-reduce between two processes of this machine."""
    context = get_context("spawn")
    figures = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for rank in range(2):
            arguments = (rank, folder, num_floats, num_repeats, figures)
            processes.append(context.Process(target=time_all_reduce, args=arguments))
        for process in processes:
            process.start()
        seconds = figures.get(timeout=_PATIENCE_S)
        for process in processes:
            process.join()
    return {"bytes": 4 * num_floats, **seconds}


def measure_checkpoint(model: torch.nn.Module, num_repeats: int) -> dict[str, float]:
    """Returns seconds and bytes of a checkpoint: a model and its momentum, synced to the disk."""
    optimizer = Sgd(0.01).build(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    with tempfile.TemporaryDirectory() as folder:
        seconds = best_and_median_s(partial(save_checkpoint, Path(folder), state), num_repeats)
        num_bytes = sum(file.stat().st_size for file in Path(folder).iterdir())
    return {"bytes": num_bytes, **seconds}


def measure_jpeg(num_repeats: int) -> dict[str, Any]:
    """Returns bytes and seconds an image: pages of shards, and what ingest does with an image.

    Ingest decodes, resizes, encodes, decodes again and hashes.
    """
    sources = []
    for photo in load_sample_images().images:  # two of 640 x 427 that come with scikit-learn
        buffer = BytesIO()
        Image.fromarray(photo).save(buffer, "JPEG", quality=QUALITY)
        sources.append(buffer.getvalue())
    pages = [_page_of(source) for source in sources]

    def decode_pages() -> None:
        for page in pages:
            decode_jpeg(page, SIZE, SIZE)

    def ingest_sources() -> None:
        for source in sources:
            hashlib.sha256(decode_jpeg(_page_of(source), SIZE, SIZE).data).hexdigest()

    figures: dict[str, Any] = {"page_bytes": [len(page) for page in pages]}
    for name, function in (("decode", decode_pages), ("ingest", ingest_sources)):
        figures[name] = {}
        for kind, seconds in best_and_median_s(function, num_repeats).items():
            figures[name][kind] = round(seconds / len(pages), 6)
    return figures


def _page_of(source: bytes) -> bytes:
    return encode_jpeg(decode_image(source, SIZE), QUALITY)


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--model", choices=sorted(MODELS), default="resnet18")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures all constants."""
    options = command_parser().parse_args(arguments)
    num_repeats = options.repeats
    with open_study(MODULE, arguments, options.results) as study:
        network = build_model(MODELS[options.model](), num_classes=10, seed=0)
        num_floats = sum(parameter.numel() for parameter in network.parameters())
        load_average = round(os.getloadavg()[0], 1)
        figures = {
            "num_repeats": num_repeats,
            "load_average_before": load_average,
            "all_reduce_gloo_2_processes": measure_all_reduce(num_floats, num_repeats),
            "checkpoint": measure_checkpoint(network, num_repeats),
            "jpeg_224": measure_jpeg(num_repeats),
        }
        study.store("constants", figures)


if __name__ == "__main__":
    main()
