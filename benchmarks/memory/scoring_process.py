"""Memory of one scoring process over many images: whether it grows with what was scored.

    python -m benchmarks.memory.scoring_process --data DIR --turns 6

DIR holds tinyimagenet-train.parquet; its images, at 64 pixels, are scored again and again by one
process that stays open.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.memory.dataset_size import SHARD_SIZE
from benchmarks.memory.sampler import own_uss_mib
from benchmarks.random_weights import random_probe_step
from benchmarks.support import open_study, run_in_fresh_process, study_parser
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.protocol import Source
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.device import torch_threads
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Backend, BlockJob
from ray_defense.execution.steps import make_steps
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.stages.context import PlanContext
from ray_defense.stages.detect import DetectConfig, detect_step
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.store.artifacts import Store
from ray_defense.training.normalization import NORMALIZATIONS

MODULE = "benchmarks.memory.scoring_process"


class TurningExecutor(LocalExecutor):
    """A local executor that runs the blocks of a job several times, and looks at its memory."""

    def __init__(self, backend: Backend, num_turns: int):
        super().__init__(backend)
        self.num_turns = num_turns
        self.uss_mib: list[float] = []  # after each turn

    def run_blocks(self, job: BlockJob[Any, Any]) -> None:
        with torch_threads(job.cpus_per_actor):
            work = job.open(job.inputs, self.device, self.backend)
            for _ in range(self.num_turns):
                for block in job.blocks:
                    work(block)
                self.uss_mib.append(own_uss_mib())
                print(self.uss_mib, file=sys.stderr, flush=True)


def measure_turns(source: Source, backend: Backend, num_turns: int) -> dict[str, Any]:
    """Returns the memory that is this process's alone, in MiB, after each turn over all images.

    Args:
        source: The images.
        backend: Who reads them.
        num_turns: How often all of them are scored.
    """
    executor = TurningExecutor(backend, num_turns)
    with tempfile.TemporaryDirectory() as folder:
        context = PlanContext(Store(folder), 0, NORMALIZATIONS["imagenet"])
        suspect = ingest_step(IngestConfig(SHARD_SIZE), source, context)
        model = SmallResNet()
        probe = random_probe_step(model, source.info().num_classes, context)
        evidence = detect_step(DetectConfig(), suspect, probe, model=model, context=context)
        make_steps([evidence], context.store, executor)
        num_images = SuspectDataset(suspect.artifact.path).num_samples
    return {"num_images": num_images, "size": source.info().size, "uss_mib": executor.uss_mib}


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--file", default="tinyimagenet-train.parquet", help="in --data")
    parser.add_argument("--size", type=int, default=64, help="pixels of a side (default: 64)")
    parser.add_argument("--backend", choices=("ffcv", "numpy"), default="ffcv")
    parser.add_argument("--turns", type=int, default=6)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures one process."""
    options = command_parser().parse_args(arguments)
    source = Parquet(path=str(options.data.resolve() / options.file), size=options.size)
    with open_study(MODULE, arguments, options.results) as study:
        figures = run_in_fresh_process(measure_turns, source, options.backend, options.turns)
        study.store("scoring_process", figures)


if __name__ == "__main__":
    main()
