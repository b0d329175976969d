"""Block jobs on a pool of Ray actors: a bounded window, retried blocks, one part file a block, the same bits for any pool."""

import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ray_defense.cluster.errors import original
from ray_defense.cluster.resources import cpu_slots, gpu_slots, gpus_each, largest_node, nodes_with
from ray_defense.core import progress
from ray_defense.core.errors import Failed
from ray_defense.execution.local import best_device, threads
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import Backend, BlockJob

MAX_DEATHS = 3  # of actors with one block in hand, and of each actor while no block is finished
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


def starter(job: BlockJob, backend: Backend, placement: Placement, count: int) -> Callable[[], Any]:
    """Returns what starts one of `count` actors for `job`, or one in the place of another, each time it is called."""
    num_gpus = gpus_each(placement.gpus_per_actor, count)
    num_cpus = min(job.config.cpus_per_actor, largest_node())  # what no node has would never be placed
    actor_class = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus)(BlockActor)
    turns = itertools.count()

    def start() -> Any:
        strategy = "DEFAULT"  # not in the placement group of a trial that starts them
        if placement.spread and (nodes := nodes_with(num_cpus, num_gpus)):  # Ray's "SPREAD" may put two on one of two nodes
            strategy = NodeAffinitySchedulingStrategy(nodes[next(turns) % len(nodes)], soft=True)
        return actor_class.options(scheduling_strategy=strategy).remote(job, backend)

    return start


def run_blocks(actors: list[Any], start: Callable[[], Any], blocks: Sequence[Any], what: str, patience_s: float) -> None:
    """Runs every block on one of `actors`, each from when it is up; raises what one raised, or Failed for a dead pool.

    Where an actor dies, `start()` takes its place in `actors`, and its blocks go to whoever is free: for the newcomer there
    may be no room while a node is gone. `patience_s` is how long, in seconds, nothing may happen before the pool counts as
    stalled.
    """
    waiting, done = deque(blocks), 0
    hands: dict[Any, int] = {}  # actor that is up -> blocks it has
    running = {actor.ready.remote(): (actor, None) for actor in actors}  # reference -> (actor, block)
    deaths_over, deaths_since = Counter(), 0  # a block; the last block that was finished
    while done < len(blocks):
        finished, _ = ray.wait(list(running), timeout=patience_s)
        if not finished:
            why = "an actor hangs" if hands else "no actor could start (is there a free CPU or GPU for one?)"
            raise Failed(f"nothing of {what} was finished in {patience_s:.0f} s: {why}; run again to resume")
        for reference in finished:
            actor, block = running.pop(reference)
            try:
                ray.get(reference)
            except RayActorError as error:
                hands.pop(actor, None)
                if actor in actors:
                    ray.kill(actor)  # it may be unreachable only
                    actors[actors.index(actor)] = newcomer = start()
                    running[newcomer.ready.remote()] = (newcomer, None)
                    deaths_since += 1
                if block is not None:
                    waiting.append(block)
                    deaths_over[block] += 1
                if deaths_since > MAX_DEATHS * len(actors) or deaths_over[block] > MAX_DEATHS:
                    raise Failed(f"actors of {what} die again and again: run again to resume ({error})") from error
                continue
            except RayError as error:
                raise original(error) from None
            if block is None:
                hands[actor] = 0
            else:
                done, deaths_since = done + 1, 0
                if actor in hands:  # it may have died over its next block meanwhile
                    hands[actor] -= 1
            progress.tell(what, done, len(blocks))
        for actor in hands:
            while waiting and hands[actor] < _WINDOW:
                block = waiting.popleft()
                running[actor.run.remote(block)] = (actor, block)
                hands[actor] += 1


def num_actors(job: BlockJob, num_blocks: int, placement: Placement) -> int:
    """Returns how many actors to start: as many as wanted, or as GPUs or else CPUs have room for; never more than blocks."""
    return max(1, min(most_actors(job.config.cpus_per_actor, placement), num_blocks))


def most_actors(cpus_per_actor: int, placement: Placement) -> int:
    """Returns how many actors are started where there are blocks enough."""
    return placement.actors or gpu_slots(placement.gpus_per_actor) or cpu_slots(cpus_per_actor)
