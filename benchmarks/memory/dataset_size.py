"""One run of ingest (with BadNets), probe and scoring on a Ray of its own, watched for memory."""

import tempfile
import time
from typing import Any

from benchmarks.memory.sampler import MIB, MemorySampler
from ray_defense.api import make_executor
from ray_defense.attacks.badnets import BadNets
from ray_defense.core.progress import ProgressEvent, listening
from ray_defense.data.sources.protocol import Source
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.execution.protocols import Backend
from ray_defense.execution.steps import make_steps
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.protocol import Model
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.detect import EVIDENCE
from ray_defense.stages.ingest import INGEST, IngestConfig
from ray_defense.stages.probe import PROBE
from ray_defense.store.artifacts import Store
from ray_defense.training.normalization import NORMALIZATIONS

# Small enough for several shards of the smallest dataset: a shard is what a task holds.
SHARD_SIZE = 500


class BlockTimes:
    """A listener that notes when how many blocks were scored."""

    def __init__(self) -> None:
        self.times: list[tuple[float, int]] = []  # (seconds, blocks done)

    def __call__(self, event: ProgressEvent) -> None:
        """Notes an event of scoring."""
        if event.task == EVIDENCE:
            self.times.append((time.perf_counter(), event.num_done))

    def fraction_per_s(self) -> float | None:
        """Returns the fraction of all blocks scored in a second once both actors are up.

        Both are up by the second block. None where there are too few blocks to tell.
        """
        since_second = [pair for pair in self.times if pair[1] > 1]
        if len(since_second) < 2:
            return None
        begin_s, first = since_second[0]
        end_s, last = since_second[-1]
        return (last - first) / last / (end_s - begin_s)


def watched_recipe(source: Source, model: Model) -> Recipe:
    """Returns the recipe of a run: one epoch of the probe, and no pixels kept in memory."""
    return Recipe(
        name="memory",
        source=source,
        attack=BadNets(),
        ingest=IngestConfig(SHARD_SIZE),
        normalization=NORMALIZATIONS["imagenet"],
        probe=ProbeConfig(model, epochs=1, intra_epochs=0, workers=WorkerGroup(resident_bytes=0)),
        backdoored=None,
        defenses=(),
    )


def measure_memory(
    source: Source, model: Model, executor_name: str, backend: Backend
) -> dict[str, Any]:
    """Returns memory by role and stage, and how fast scoring was.

    Args:
        source: The images.
        model: Of the probe.
        executor_name: "ray" or "local".
        backend: Who reads the shards.
    """
    sampler = MemorySampler()
    block_times = BlockTimes()
    with tempfile.TemporaryDirectory() as folder, sampler.sampling():
        executor = make_executor(executor_name, backend)
        plan = plan_recipe(watched_recipe(source, model), Store(folder))
        steps = {INGEST: plan.dataset.step, PROBE: plan.probe, EVIDENCE: plan.evidence}
        seconds = {}
        with listening(block_times):
            for stage, step in steps.items():
                sampler.stage = stage
                make_steps([step], plan.context.store, executor)
                seconds[stage] = step.artifact.seconds
        sampler.stage = "end"
        executor.close()
    num_images = len(source.labels("train"))
    size = source.info().size
    fraction_per_s = block_times.fraction_per_s()
    once_up = None
    if fraction_per_s is not None:
        once_up = round(fraction_per_s * num_images, 1)
    return {
        "num_images": num_images,
        "pixel_mib": round(num_images * 3 * size * size / MIB, 1),
        "uss_mib": sampler.uss_mib(),
        "object_store_mib": round(sampler.object_store_bytes / MIB, 1),
        "seconds": seconds,
        "score_images_per_s": round(num_images / seconds[EVIDENCE], 1),
        "score_images_per_s_once_up": once_up,
    }


def memory_growth(small: dict[str, Any], large: dict[str, Any], size: int) -> dict[str, Any]:
    """Returns what more samples cost: bytes of memory a sample by role and stage.

    Args:
        small: What `measure_memory` returned for few images.
        large: The same for many.
        size: Pixels of a side.
    """
    num_more = large["num_images"] - small["num_images"]
    by_role: dict[str, dict[str, dict[str, int]]] = {}
    for role, stages in large["uss_mib"].items():
        before = small["uss_mib"].get(role, {})
        for stage in sorted(stages.keys() & before.keys() - {"start", "end"}):
            change = {}
            for kind, mib in stages[stage].items():
                change[kind] = round((mib - before[stage][kind]) * MIB / num_more)
            by_role.setdefault(role, {})[stage] = change
    more_in_object_store = large["object_store_mib"] - small["object_store_mib"]
    return {
        "num_images": [small["num_images"], large["num_images"]],
        "pixel_bytes_per_sample": 3 * size * size,
        "uss_bytes_per_sample": by_role,
        "object_store_bytes_per_sample": round(more_in_object_store * MIB / num_more),
    }
