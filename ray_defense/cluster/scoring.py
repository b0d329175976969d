"""Block jobs on a pool of Ray actors: a bounded window, retried blocks, one part file a block, the same bits for any pool."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from ray_defense.cluster.errors import original
from ray_defense.cluster.placement import cpu_slots, largest_node
from ray_defense.core import progress
from ray_defense.core.errors import Failed
from ray_defense.core.local import best_device, threads
from ray_defense.core.seams import Backend, BlockJob

_WINDOW = 2  # blocks an actor has in hand


class BlockActor:
    """Runs blocks of one job in a process of its own; opened once, used for many blocks."""

    def __init__(self, job: BlockJob, backend: Backend):
        self._job, self._backend, self._work = job, backend, None

    def ready(self) -> None:
        """Opens what blocks need, if it is not open; not in the constructor, whose errors Ray passes on as text only."""
        if self._work is None:
            with threads(self._job.config.cpus_per_actor):
                self._work = self._job.build(self._job, best_device(), self._backend)

    def run(self, block: Any) -> None:
        """Makes the part of `block`; doing it twice does no harm."""
        self.ready()
        with threads(self._job.config.cpus_per_actor):
            self._work(block)


def start_actors(job: BlockJob, backend: Backend, count: int) -> list[Any]:
    """Returns `count` actors for `job`, restarted twice when they die, each with a GPU where there is one for each."""
    num_gpus = 1 if ray.cluster_resources().get("GPU", 0) >= count else 0
    num_cpus = min(job.config.cpus_per_actor, largest_node())  # what no node has would never be placed
    options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_restarts": 2, "max_task_retries": 2}
    options["scheduling_strategy"] = "DEFAULT"  # not in the placement group of a trial that starts them
    actor_class = ray.remote(BlockActor).options(**options)
    return [actor_class.remote(job, backend) for _ in range(count)]  # by value: a restarted actor must find it again


def run_blocks(actors: Sequence[Any], blocks: Sequence[Any], what: str, patience_s: float) -> None:
    """Runs every block on one of `actors`, each from when it is up; raises what one raised, or Failed for a dead pool.

    `patience_s` is how long, in seconds, nothing may happen before the pool counts as stalled.
    """
    waiting, done = deque(blocks), 0
    running = {actor.ready.remote(): (actor, False) for actor in actors}  # reference -> (actor, whether it is a block)
    while done < len(blocks):
        finished, _ = ray.wait(list(running), timeout=patience_s)
        if not finished:
            raise Failed(f"nothing of {what} was finished in {patience_s:.0f} s: an actor hangs; run again to resume")
        for reference in finished:
            actor, is_block = running.pop(reference)
            try:
                ray.get(reference)
            except RayError as error:
                cause = original(error)
                if cause is not error:
                    raise cause from None
                raise Failed(f"an actor of {what} died too often: run again to resume ({error})") from error
            done += is_block
            progress.tell(what, done, len(blocks))
            for _ in range(1 if is_block else _WINDOW):
                if waiting:
                    running[actor.run.remote(waiting.popleft())] = (actor, True)


def num_actors(job: BlockJob, num_blocks: int, wanted: int | None) -> int:
    """Returns how many actors to start: `wanted`, or one a GPU, or else one a CPU slot; never more than blocks."""
    slots = int(ray.cluster_resources().get("GPU", 0)) or cpu_slots(job.config.cpus_per_actor)
    return max(1, min(wanted or slots, num_blocks))
