"""Reads mutants of honest files: images, Parquet, .beton, archives, and every file of a store.

    python -m benchmarks.fuzz --inputs 100000 --store-files 10000

A mutant is refused, read as the same, or read as something else. It is a failure if it ends in an
error that is not the product's own, hangs, or crashes the process; for a file of the store also if
it is read as something else.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.fuzz.campaign import run_campaign
from benchmarks.fuzz.forked import LIMIT_BYTES, LIMIT_S
from benchmarks.fuzz.targets import INPUT_TARGETS, STORE_TARGETS, Target
from benchmarks.support import open_study, study_parser

MODULE = "benchmarks.fuzz"


def measure_target(target: Target, num_mutants: int, seed: int) -> dict[str, Any]:
    """Returns the result of a campaign as plain data."""
    result = run_campaign(target, num_mutants, seed)
    return {**result.plain(), "num_failures": result.failures(target.of_store)}


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="mutants of each kind of input")
    parser.add_argument(
        "--store-files", type=int, default=10_000, help="mutants of each kind of file of a store"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", default=[], help="repeatable (default: all)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all campaigns; returns 1 if a mutant failed."""
    options = command_parser().parse_args(arguments)
    results = []
    with open_study(MODULE, arguments, options.results) as study:
        for target in (*INPUT_TARGETS, *STORE_TARGETS):
            if options.target and target.name not in options.target:
                continue
            count = options.store_files if target.of_store else options.inputs
            measure = partial(measure_target, target, count, options.seed)
            results.append(study.measure(target.name, measure))
        figures = {
            "seed": options.seed,
            "limit_s": LIMIT_S,
            "limit_bytes": LIMIT_BYTES,
            "num_mutants": sum(result["num_mutants"] for result in results),
            "num_failures": sum(result["num_failures"] for result in results),
            "targets": results,
        }
        study.store("mutants", figures)
    return int(any(result["num_failures"] for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
