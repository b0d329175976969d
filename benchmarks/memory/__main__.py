"""Peak and settled memory at several sizes of the dataset, and what a sample more costs.

    python -m benchmarks.memory --data DIR

DIR holds tinyimagenet-train.parquet; its images are read at 64 pixels. Each size runs ingest (with
BadNets), probe (one epoch, nothing resident) and scoring on a Ray of its own.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.memory.dataset_size import SHARD_SIZE, measure_memory, memory_growth
from benchmarks.memory.sampler import INTERVAL_S
from benchmarks.support import add_executor_options, open_study, run_in_fresh_process, study_parser
from ray_defense.data.sources.parquet import Parquet
from ray_defense.models import MODELS

MODULE = "benchmarks.memory"


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--file", default="tinyimagenet-train.parquet", help="in --data")
    parser.add_argument("--size", type=int, default=64, help="pixels of a side (default: 64)")
    parser.add_argument("--images", type=int, nargs="+", default=[2_000, 8_000, 20_000])
    parser.add_argument("--model", choices=sorted(MODELS), default="small_resnet")
    add_executor_options(parser)
    parser.add_argument("--name", default="dataset_size", help="of the file of results")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures every size in a process of its own: memory once taken is never given back."""
    options = command_parser().parse_args(arguments)
    path = str(options.data.resolve() / options.file)
    model = MODELS[options.model]()
    runs = []
    with open_study(MODULE, arguments, options.results) as study:
        for num_images in sorted(options.images):
            source = Parquet(path=path, size=options.size, limit=num_images)
            measure = partial(
                run_in_fresh_process,
                measure_memory,
                source,
                model,
                options.executor,
                options.backend,
            )
            runs.append(study.measure(f"{num_images} images", measure))
        figures = {
            "model": options.model,
            "size": options.size,
            "shard_size": SHARD_SIZE,
            "interval_s": INTERVAL_S,
            "runs": runs,
            "growth": memory_growth(runs[0], runs[-1], options.size),
        }
        study.store(options.name, figures)


if __name__ == "__main__":
    main()
