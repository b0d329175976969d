"""Images/s of the whole evidence stage on two warm actors, over its bare forward passes alone.

    python -m benchmarks.scoring --model resnet18 --repeats 3

The two sides take turns, on equally many actors of one thread each; ratios are taken pair by pair.
Starting the actors (importing FFCV, compiling its Loader, loading the model) is measured apart.
CIFAR-10 is read from RAY_DEFENSE_DATA, or else downloaded.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.random_weights import random_probe_step
from benchmarks.support import open_study, study_parser
from benchmarks.turns import compare_pairs
from ray_defense.cluster.session import prepare_environment
from ray_defense.data.sources.cifar import Cifar10
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.protocol import Source
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.feature_scorer import cut_into_blocks
from ray_defense.execution.protocols import Backend
from ray_defense.execution.steps import Step, make_steps
from ray_defense.models import MODELS
from ray_defense.models.protocol import Model
from ray_defense.stages.context import PlanContext
from ray_defense.stages.detect import DetectConfig, detect_step
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.store.artifacts import Store
from ray_defense.training.normalization import NORMALIZATIONS

MODULE = "benchmarks.scoring"


@dataclass(frozen=True)
class Setting:
    """What is scored, by which network."""

    source: Source
    model: Model
    shard_size: int
    backend: Backend
    num_repeats: int


def measure_scoring(setting: Setting) -> dict[str, Any]:
    """Returns the figures of one network; it starts and ends a Ray of its own."""
    prepare_environment()  # before ray is imported
    import ray

    from benchmarks.scoring.warm_actors import NUM_ACTORS, BareInputs, BarePool, WarmExecutor

    # Both pools stay up and take turns, so Ray must see room for both.
    ray.init(address="local", num_cpus=2 * NUM_ACTORS, log_to_driver=False, logging_level="ERROR")
    config = DetectConfig(detectors=(Fct(),))
    info = setting.source.info()
    normalization = NORMALIZATIONS["cifar10"]
    with tempfile.TemporaryDirectory() as folder:
        executor = WarmExecutor(setting.backend)
        context = PlanContext(Store(folder), 0, normalization)
        suspect = ingest_step(IngestConfig(setting.shard_size), setting.source, context)
        make_steps([suspect], context.store, executor)
        probe = random_probe_step(setting.model, info.num_classes, context)
        evidence = detect_step(config, suspect, probe, model=setting.model, context=context)
        dataset = SuspectDataset(suspect.artifact.path)
        inputs = BareInputs(
            model=setting.model,
            num_classes=info.num_classes,
            size=info.size,
            tau=config.detectors[0].tau,
            normalization=normalization,
            batch_size=config.batch_size,
        )
        bare = BarePool(inputs, cut_into_blocks(dataset, config.block_size))
        stage_s = []
        bare_s = []
        for _ in range(setting.num_repeats + 1):
            start = time.perf_counter()
            bare.run_all()
            bare_s.append(time.perf_counter() - start)
            stage_s.append(_score_anew(evidence, context.store, executor))
        startup_s = executor.startup_s
        ray.shutdown()
    # The first pair warms up.
    # Each image passes the network twice.
    return {
        "num_actors": NUM_ACTORS,
        "startup_s": round(startup_s, 1),
        "num_forward_passes": 2 * dataset.num_samples,
        **compare_pairs(dataset.num_samples, stage_s[1:], bare_s[1:]),
    }


def _score_anew(evidence: Step, store: Store, executor: Any) -> float:
    """Returns the seconds of making the evidence, which is removed first."""
    shutil.rmtree(evidence.artifact.path, ignore_errors=True)
    start = time.perf_counter()
    make_steps([evidence], store, executor)
    return time.perf_counter() - start


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--model", choices=sorted(MODELS), default="small_resnet")
    parser.add_argument("--source", choices=("cifar10", "digits"), default="cifar10")
    parser.add_argument("--images", type=int, default=10_000, help="of CIFAR-10 (default: 10,000)")
    parser.add_argument("--backend", choices=("ffcv", "numpy"), default="ffcv")
    parser.add_argument("--repeats", type=int, default=5)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures one network."""
    options = command_parser().parse_args(arguments)
    source: Source = Digits()
    if options.source == "cifar10":
        source = Cifar10(limit=options.images)
    setting = Setting(
        source=source,
        model=MODELS[options.model](),
        shard_size=5000 if options.source == "cifar10" else 500,
        backend=options.backend,
        num_repeats=options.repeats,
    )
    with open_study(MODULE, arguments, options.results) as study:
        study.store(options.model, {"model": options.model, **measure_scoring(setting)})


if __name__ == "__main__":
    main()
