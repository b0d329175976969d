"""Kills the process at work, its raylet and the driver at every stage of a run of 256 digits.

    python -m benchmarks.faults --repeats 3

A cell is one stage alone on a cluster of three raylets; it has recovered if every file has the
bytes of a run left alone. The driver is started again when it was killed.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.support import StudyRun, open_study, study_parser
from tests.support import tiny
from tests.support.fault_matrix import make_reference, try_cell
from tests.support.faults import STAGES, TARGETS, Target
from tests.support.ray_nodes import cluster_of_nodes

MODULE = "benchmarks.faults"
ALONE: Target = "none"  # the run that nothing disturbs


class FaultCells:
    """Tries cells on one cluster, against one undisturbed run."""

    def __init__(self, cluster: Any, folder: Path):
        """Makes the undisturbed run.

        Args:
            cluster: What cells run on.
            folder: An empty folder.
        """
        self.cluster = cluster
        self.folder = folder
        self.data = folder / "data"
        self.reference = folder / "reference"
        self.data.mkdir()
        tiny.write_digits(self.data)
        make_reference(self.data, self.reference)

    def outcome(self, stage: str, target: Target) -> dict[str, Any]:
        """Returns the outcome of a cell, tried once."""
        outcome = try_cell(
            self.cluster,
            self.reference,
            self.data,
            scratch=self.folder,
            stage=stage,
            target=target,
        )
        return asdict(outcome)


def summarize_cell(stage: str, target: Target, tries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns a cell: it has recovered if it did each time; its seconds are the median.

    Args:
        stage: One of STAGES.
        target: One of TARGETS, or "none".
        tries: The outcomes.
    """
    should_strike = target != ALONE
    recovered = True
    seconds = []
    for outcome in tries:
        recovered = recovered and outcome["recovered"] and outcome["struck"] == should_strike
        seconds.append(outcome["seconds"])
    return {
        "stage": stage,
        "killed": target,
        "recovered": recovered,
        "seconds": round(median(seconds), 1),
    }


def measure_matrix(
    study: StudyRun, cells: FaultCells, stages: Sequence[str], num_repeats: int
) -> dict[str, Any]:
    """Returns every cell of some stages, with the seconds that each fault cost.

    Args:
        study: Keeps each outcome as it comes.
        cells: Tries the cells.
        stages: Of STAGES.
        num_repeats: How often each cell is tried.
    """
    matrix = []
    for stage in stages:
        alone_s = 0.0
        for target in (ALONE, *TARGETS):
            tries = []
            for number in range(num_repeats):
                key = f"{stage}, {target}, {number}"
                tries.append(study.measure(key, partial(cells.outcome, stage, target)))
            cell = summarize_cell(stage, target, tries)
            if target == ALONE:
                alone_s = cell["seconds"]
            cell["seconds_lost"] = round(cell["seconds"] - alone_s, 1)
            matrix.append(cell)
    return {
        "cells": matrix,
        "num_repeats": num_repeats,
        "all_recovered": all(cell["recovered"] for cell in matrix),
    }


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of each cell (default: 3)")
    parser.add_argument(
        "--stage", action="append", choices=STAGES, help="repeatable (default: all)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the matrix of faults."""
    options = command_parser().parse_args(arguments)
    with open_study(MODULE, arguments, options.results) as study:
        with tempfile.TemporaryDirectory() as folder, cluster_of_nodes() as cluster:
            cells = FaultCells(cluster, Path(folder))
            stages = options.stage or STAGES
            figures = measure_matrix(study, cells, stages, options.repeats)
        study.store("matrix", figures)


if __name__ == "__main__":
    main()
