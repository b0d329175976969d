"""Reads mutants of honest files.

    python -m benchmarks.fuzz inputs    # images, Parquet, .beton, archives of CIFAR
    python -m benchmarks.fuzz forms     # tables, arrays, archives, configurations, layouts
    python -m benchmarks.fuzz audits    # the files of an audit, as the other commands read them
    python -m benchmarks.fuzz store     # every file of a store

A mutant is refused, read as the same, or read as something else. It is a failure if it ends in an
error that is not the product's own, hangs, or crashes the process; for a file of the store also if
it is read as something else.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.fuzz.campaign import run_campaign
from benchmarks.fuzz.forked import LIMIT_BYTES, LIMIT_CPU_S, LIMIT_WAIT_S
from benchmarks.fuzz.seed import Target
from benchmarks.fuzz.targets import AUDIT_TARGETS, FORM_TARGETS, INPUT_TARGETS, STORE_TARGETS
from benchmarks.support import open_study, study_parser

MODULE = "benchmarks.fuzz"
TARGETS = {
    "inputs": INPUT_TARGETS,
    "forms": FORM_TARGETS,
    "audits": AUDIT_TARGETS,
    "store": STORE_TARGETS,
}


def measure_target(target: Target, num_mutants: int | None, seed: int) -> dict[str, Any]:
    """Returns the result of a campaign as plain data."""
    result = run_campaign(target, num_mutants or target.num_mutants, seed)
    return {**result.plain(), "num_failures": result.failures(target.of_store)}


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("kind", choices=sorted(TARGETS), help="of the files")
    parser.add_argument(
        "--mutants", type=int, help="of each kind of file (default: 100000, or 10000 if slow)"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs all campaigns; returns 1 if a mutant failed."""
    options = command_parser().parse_args(arguments)
    results = []
    with open_study(MODULE, arguments, options.results) as study:
        for target in TARGETS[options.kind]:
            measure = partial(measure_target, target, options.mutants, options.seed)
            results.append(study.measure(target.name, measure))
        figures = {
            "seed": options.seed,
            "limit_cpu_s": LIMIT_CPU_S,
            "limit_wait_s": LIMIT_WAIT_S,
            "limit_bytes": LIMIT_BYTES,
            "num_mutants": sum(result["num_mutants"] for result in results),
            "num_failures": sum(result["num_failures"] for result in results),
            "targets": results,
        }
        study.store(options.kind, figures)
    return int(any(result["num_failures"] for result in results))


if __name__ == "__main__":
    raise SystemExit(main())
