"""recipe --benchmark--> images/s of ingest, probe and scoring where it runs.

Each time everything is made in a store of its own, which is removed again.
"""

from dataclasses import dataclass
from tempfile import TemporaryDirectory

from ray_defense.core.checks import check_at_least
from ray_defense.core.versions import installed_versions
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.feature_scorer import cut_into_blocks
from ray_defense.execution.protocols import ClusterResources, Executor
from ray_defense.execution.steps import make_steps
from ray_defense.models.seeded import build_model
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.backdoored import backdoored_step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.defend import BackdooredModel
from ray_defense.stages.detect import plan_detection
from ray_defense.stages.detector_models import RecipeModels
from ray_defense.stages.ingest import ingest_step
from ray_defense.stages.probe import probe_step
from ray_defense.store.artifacts import Store


@dataclass(frozen=True)
class StageThroughput:
    """A stage as often as it was repeated."""

    num_images: int  # each time: samples, times epochs or views
    seconds: list[float]  # as the artifacts record them
    images_per_s: list[float]


@dataclass(frozen=True)
class Throughput:
    """What `benchmark.json` holds.

    The seconds of ingest and scoring hold the start of their tasks and actors, with what these
    import and compile. Those of the probe hold opening the data and writing checkpoints, and not
    the start of the workers. The start of Ray is in none.
    """

    recipe: str
    num_samples: int
    ingest: StageThroughput  # without an attack: a user who has a dataset starts here
    probe: StageThroughput
    scoring: StageThroughput
    num_parameters: int  # of the probe
    shard_bytes_per_sample: float
    checkpoint_bytes: int  # of the probe, with its optimizers
    num_workers: int  # of the probe
    num_actors: int  # of scoring
    resources: ClusterResources
    versions: dict[str, str]


@dataclass(frozen=True)
class _Pass:
    """One time through ingest, probe and scoring."""

    num_samples: int
    num_blocks: int
    shard_bytes: int
    checkpoint_bytes: int
    ingest_s: float
    probe_s: float
    scoring_s: float


def measure_throughput(
    recipe: Recipe, store: Store, executor: Executor, num_repeats: int
) -> Throughput:
    """Ingests, trains the probe and scores again and again, below a store.

    Args:
        recipe: What is run; its attack and defenses do not matter.
        store: Below which everything is made and removed again.
        executor: Who does the work.
        num_repeats: How often, at least 1.

    Raises:
        InputError, RunError: As these stages do.
    """
    check_at_least("repeats", num_repeats, 1)
    passes = [_run_once(recipe, store, executor) for _ in range(num_repeats)]
    first = passes[0]
    num_samples = first.num_samples
    num_views = 1
    for detector in recipe.detect.detectors:
        num_views += detector.draws
    resources = executor.resources(recipe.detect.cpus_per_actor)
    num_classes = recipe.source.info().num_classes
    model = build_model(recipe.probe.model, num_classes, seed=0)
    num_trained = num_samples * recipe.probe.num_epochs
    return Throughput(
        recipe=recipe.name,
        num_samples=num_samples,
        ingest=_throughput(num_samples, [each.ingest_s for each in passes]),
        probe=_throughput(num_trained, [each.probe_s for each in passes]),
        scoring=_throughput(num_samples * num_views, [each.scoring_s for each in passes]),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        shard_bytes_per_sample=first.shard_bytes / num_samples,
        checkpoint_bytes=first.checkpoint_bytes,
        num_workers=recipe.probe.workers.num_workers,
        num_actors=min(resources.num_actors, first.num_blocks),
        resources=resources,
        versions=installed_versions(),
    )


def _throughput(num_images: int, seconds: list[float]) -> StageThroughput:
    return StageThroughput(num_images, seconds, [num_images / each for each in seconds])


def _run_once(recipe: Recipe, store: Store, executor: Executor) -> _Pass:
    # Below the store, where all nodes see it.
    with TemporaryDirectory(prefix="benchmark-", dir=store.root) as folder:
        own_store = Store(folder)
        context = PlanContext(own_store, recipe.seed, recipe.normalization)
        suspect = ingest_step(recipe.ingest, recipe.source, context)
        probe = probe_step(recipe.probe, suspect, context)
        backdoored = None
        if recipe.backdoored is not None:
            step = backdoored_step(recipe.backdoored, suspect, context)
            backdoored = BackdooredModel(step, recipe.backdoored)
        shared = RecipeModels(recipe.probe, backdoored)
        detection = plan_detection(recipe.detect, suspect, shared, context)
        evidence = detection.evidence
        make_steps([probe, evidence], own_store, executor)
        dataset = SuspectDataset(suspect.artifact.path)
        shard_bytes = 0
        for file in suspect.artifact.path.glob("*.beton"):
            shard_bytes += file.stat().st_size
        return _Pass(
            num_samples=dataset.num_samples,
            num_blocks=len(cut_into_blocks(dataset, recipe.detect.block_size)),
            shard_bytes=shard_bytes,
            checkpoint_bytes=probe.artifact.checkpoint_bytes or 0,
            ingest_s=suspect.artifact.seconds,
            probe_s=probe.artifact.seconds,
            scoring_s=evidence.artifact.seconds,
        )
