"""Images/s of the two readers of shards, FFCV's and NumPy's, and how long each takes to start.

    python -m benchmarks.reading --sides 32 64 224

Both read the same shards of random pixels, which the page cache holds, in shuffled rows and in
batches, in turns in one process. How long it takes until the first batch is measured in processes
of their own, in turns. `auto` chooses by these numbers (`data/shards/open_reader.py`).
"""

import argparse
from collections.abc import Sequence
from functools import partial

from benchmarks.reading.measure import SHARD_SIZE, measure_side
from benchmarks.support import open_study, study_parser

MODULE = "benchmarks.reading"


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 64, 224])
    parser.add_argument("--mib", type=int, default=150, help="of pixels (default: 150)")
    parser.add_argument("--repeats", type=int, default=3)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures each size."""
    options = command_parser().parse_args(arguments)
    with open_study(MODULE, arguments, options.results) as study:
        for side in options.sides:
            num_shards = max(2, options.mib * 2**20 // (SHARD_SIZE * side * side * 3))
            measure = partial(measure_side, side, num_shards * SHARD_SIZE, options.repeats)
            study.store(f"side_{side}", study.measure(str(side), measure))


if __name__ == "__main__":
    main()
