"""Images/s of each training stage and of scoring, over a bare loop of the same network.

    python -m benchmarks.bounds --model small_resnet --device cpu

The stage is what a run makes, checkpoints and files included, by the local executor in this
process. The bare loop has the same network, batches and optimizer, and one batch that lies on the
device: no data, no augmentation, no checkpoint. Both take turns, and ratios are taken pair by pair.
Images are random. Each cell is stored as it comes.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.bounds.cells import (
    CELLS,
    Cell,
    Sizes,
    TimedStage,
    bare_half_precision,
    bare_loop,
    describe_cell,
)
from benchmarks.bounds.random_run import RandomRun, make_random_run
from benchmarks.support import open_study, study_parser
from benchmarks.turns import compare_pairs, take_turns
from ray_defense.execution.device import torch_threads
from ray_defense.execution.local import LocalExecutor
from ray_defense.models import MODELS

MODULE = "benchmarks.bounds"


def measure_cell(
    run: RandomRun, cell: Cell, device: torch.device, num_repeats: int
) -> dict[str, Any]:
    """Returns the figures of one cell; on a GPU also the most memory that its stage took."""
    stage = TimedStage(run, cell, device)
    with torch_threads(cell.threads):
        bare = bare_loop(run, cell, device)
        turns = take_turns(stage.seconds, bare.seconds, num_repeats)
        figures = {
            **describe_cell(cell),
            "threads": cell.threads,
            **compare_pairs(cell.num_images, turns.stage_s, turns.bare_s),
        }
        in_half = bare_half_precision(run, cell, device)
        if in_half is not None:
            in_half.seconds()
            seconds = [in_half.seconds() for _ in turns.bare_s]
            rates = compare_pairs(cell.num_images, turns.stage_s, seconds)
            figures["bare_bf16_images_per_s"] = rates["bare_images_per_s"]
            figures["bf16_ratio_median"] = rates["ratio_median"]
        if device.type == "cuda":
            del bare, in_half  # their networks lie on the device, too
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            stage.seconds()
            figures["peak_memory_bytes"] = torch.cuda.max_memory_allocated(device)
    return figures


def measure_stage(
    name: str,
    *,
    sizes: Sizes,
    num_samples: int,
    size: int,
    device: torch.device,
    num_repeats: int,
) -> dict[str, Any]:
    """Returns the figures of a cell by its name, with a dataset of its own."""
    with tempfile.TemporaryDirectory() as folder:
        executor = LocalExecutor("numpy", device)
        run = make_random_run(
            Path(folder), executor, model=sizes.model, num_samples=num_samples, size=size
        )
        figures = measure_cell(run, CELLS[name](run, sizes), device, num_repeats)
    return {"load_average": round(os.getloadavg()[0], 1), **figures}


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--model", choices=sorted(MODELS), default="small_resnet")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--stage",
        action="append",
        choices=tuple(CELLS),
        default=[],
        help="repeatable; all by default",
    )
    parser.add_argument("--repeats", type=int, default=5, help="pairs that count (default: 5)")
    parser.add_argument("--num-samples", type=int, default=10_000, help="images (default: 10,000)")
    parser.add_argument("--size", type=int, default=32, help="pixels of a side (default: 32)")
    parser.add_argument("--epochs", type=int, default=2, help="of each phase (default: 2)")
    parser.add_argument("--steps", type=int, default=200, help="of mirror, grow (default: 200)")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--name", help="of the files; by default the model and the device")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the cells."""
    options = command_parser().parse_args(arguments)
    sizes = Sizes(
        model=MODELS[options.model](),
        threads=options.threads,
        epochs=options.epochs,
        steps=options.steps,
    )
    name = options.name or f"{options.model}_{options.device}"
    with open_study(MODULE, arguments, options.results) as study:
        for stage in options.stage or CELLS:
            measure = partial(
                measure_stage,
                stage,
                sizes=sizes,
                num_samples=options.num_samples,
                size=options.size,
                device=torch.device(options.device),
                num_repeats=options.repeats,
            )
            figures = study.measure(stage, measure)
            described = {"device": options.device, "num_samples": options.num_samples}
            study.store(f"{name}/{stage}", {"cell": stage, **described, **figures})


if __name__ == "__main__":
    main()
