"""Block jobs on a pool of Ray actors: a bounded window, retried blocks, one part file a block, the same bits for any pool."""

from collections import deque
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError

from ray_defense.core import progress
from ray_defense.core.errors import Failed
from ray_defense.core.local import best_device, threads
from ray_defense.core.seams import Backend, BlockJob

STALLED_S = 900.0  # no block in this time: something hangs
_WINDOW = 2  # blocks an actor has in hand


class BlockActor:
    """Runs blocks of one job in a process of its own; opened once, used for many blocks."""

    def __init__(self, job: BlockJob, backend: Backend):
        self._threads = job.config.cpus_per_actor
        with threads(self._threads):
            self._work = job.build(job, best_device(), backend)

    def ready(self) -> bool:
        """Returns True once the actor can take blocks."""
        return True

    def run(self, block: Any) -> None:
        """Makes the part of `block`; doing it twice does no harm."""
        with threads(self._threads):
            self._work(block)


def start_actors(job: BlockJob, backend: Backend, count: int) -> list[Any]:
    """Returns `count` actors for `job`, restarted twice when they die, each with a GPU where there is one for each."""
    num_gpus = 1 if ray.cluster_resources().get("GPU", 0) >= count else 0
    options = {"num_cpus": job.config.cpus_per_actor, "num_gpus": num_gpus, "max_restarts": 2, "max_task_retries": 2}
    actor_class = ray.remote(BlockActor).options(**options)
    return [actor_class.remote(job, backend) for _ in range(count)]  # by value: a restarted actor must find it again


def run_blocks(actors: Sequence[Any], blocks: Sequence[Any], what: str) -> None:
    """Runs every block on one of `actors`; raises what a block raised, or Failed when the pool died or stalled."""
    waiting, running, done = deque(blocks), {}, 0
    for actor in list(actors) * _WINDOW:
        if waiting:
            running[actor.run.remote(waiting.popleft())] = actor
    while running:
        finished, _ = ray.wait(list(running), timeout=STALLED_S)
        if not finished:
            raise Failed(f"no block of {what} was finished in {STALLED_S:.0f} s: an actor hangs; run again to resume")
        for reference in finished:
            actor = running.pop(reference)
            try:
                ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from None
            except RayActorError as error:
                raise Failed(f"an actor of {what} died too often: run again to resume ({error})") from error
            done += 1
            progress.tell(what, done, len(blocks))
            if waiting:
                running[actor.run.remote(waiting.popleft())] = actor


def num_actors(job: BlockJob, num_blocks: int, wanted: int | None) -> int:
    """Returns how many actors to start: `wanted`, or one a GPU, or else one a CPU slot; never more than blocks."""
    resources = ray.cluster_resources()
    slots = int(resources.get("GPU", 0)) or int(resources.get("CPU", 1)) // job.config.cpus_per_actor
    return max(1, min(wanted or slots, num_blocks))
