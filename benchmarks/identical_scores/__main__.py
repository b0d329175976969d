"""Scores one dataset without Ray, with 1, 2 and 4 actors on 1 and 2 nodes, killed and resumed.

    python -m benchmarks.identical_scores

Nodes are raylets of one machine. On the largest cluster the process at work, its raylet and the
driver are killed in the middle of scoring, too.
"""

import argparse
import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.identical_scores.setups import (
    BACKENDS,
    NUM_CPUS,
    Setup,
    prepare_store,
    score_with,
    setups_on_nodes,
)
from benchmarks.support import StudyRun, add_set_option, open_study, study_parser
from tests.support.faults import SCORES_ONLY, Task
from tests.support.ray_nodes import cluster_of_nodes, mend_cluster

MODULE = "benchmarks.identical_scores"
_MANY_BLOCKS = {"detect.batch_size": "125", "detect.block_size": "125"}  # 12 of them


@contextlib.contextmanager
def opened_cluster(num_nodes: int) -> Iterator[Any]:
    """Gives a cluster of some nodes, or None for no nodes."""
    if not num_nodes:
        yield None
        return
    with cluster_of_nodes(num_nodes, NUM_CPUS) as cluster:
        yield cluster


def measure_hashes(
    study: StudyRun, task: Task, setups: Mapping[int, Sequence[Setup]]
) -> dict[str, dict[str, str]]:
    """Returns the SHA-256 of evidence and split by setup.

    Args:
        study: Keeps each setup as it comes.
        task: What is scored; its store is empty.
        setups: The setups by the size of their cluster; 0 is no Ray.
    """
    prepare_store(task)
    folder = Path(task.store).parent
    hashes = {}
    for num_nodes, of_cluster in setups.items():
        with opened_cluster(num_nodes) as cluster:
            for setup in of_cluster:
                score = partial(score_with, setup, task, folder, cluster)
                hashes[str(setup)] = study.measure(str(setup), score)
                if setup.killed == "node":
                    mend_cluster(cluster, num_nodes, NUM_CPUS)
    return hashes


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--recipe", default="digits_badnets")
    parser.add_argument("--nodes", type=int, nargs="+", default=[0, 1, 2], help="0 is no Ray")
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    add_set_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Compares all setups."""
    options = command_parser().parse_args(arguments)
    changes = {**SCORES_ONLY, **_MANY_BLOCKS}
    for assignment in options.set:
        key, _, value = assignment.partition("=")
        changes[key] = value
    setups = {}
    for num_nodes in options.nodes:
        setups[num_nodes] = setups_on_nodes(
            num_nodes,
            options.actors,
            options.backends,
            with_kills=num_nodes == max(options.nodes),
        )
    with open_study(MODULE, arguments, options.results) as study:
        with tempfile.TemporaryDirectory() as folder:
            store = str(Path(folder) / "prepared")
            task = Task(store, data="", recipe=options.recipe, changes=changes)
            hashes = measure_hashes(study, task, setups)
        first = next(iter(hashes.values()))
        figures = {
            "recipe": options.recipe,
            "sha256": hashes,
            "identical": all(of_setup == first for of_setup in hashes.values()),
        }
        study.store(options.recipe, figures)


if __name__ == "__main__":
    main()
