"""Block jobs on a pool of Ray actors: retried blocks, one part a block, equal bits for any pool."""

import itertools
from collections.abc import Callable, Hashable
from typing import Any

import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ray_defense.cluster.errors import describe_loss, told_error
from ray_defense.cluster.patience import Patience
from ray_defense.cluster.resources import (
    gpus_for_each,
    largest_node_cpus,
    max_actors,
    nodes_with,
)
from ray_defense.cluster.retry_policy import BlockSchedule
from ray_defense.core.progress import report_progress
from ray_defense.execution.device import best_device, torch_threads
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import Backend, BlockJob, BlockWork

_ACTOR_LOST = (RayActorError, OutOfMemoryError, NodeDiedError)


class BlockActor:
    """Runs blocks of one job in a process of its own; opened once, used for many blocks."""

    def __init__(self, job: BlockJob[Any, Any], backend: Backend):
        self._job = job
        self._backend = backend
        self._work: BlockWork[Any] | None = None

    def ready(self) -> None:
        """Opens what blocks need; not in the constructor, whose errors arrive as text only."""
        if self._work is None:
            with torch_threads(self._job.cpus_per_actor):
                self._work = self._job.open(self._job.inputs, best_device(), self._backend)

    def run(self, block: Any) -> None:
        """Makes the parts of a block; doing it twice does no harm."""
        self.ready()
        assert self._work is not None
        with torch_threads(self._job.cpus_per_actor):
            self._work(block)


class ActorPool:
    """Actors of one job; dead ones are replaced."""

    def __init__(
        self, job: BlockJob[Any, Any], backend: Backend, placement: Placement, num_actors: int
    ):
        self._start_actor = actor_starter(job, backend, placement, num_actors)
        self.actors = [self._start_actor() for _ in range(num_actors)]

    def replace(self, actor: Any) -> Any | None:
        """Returns a new actor in the place of a dead one; None if it was replaced already."""
        if actor not in self.actors:
            return None
        ray.kill(actor)  # it may be unreachable only
        newcomer = self._start_actor()
        self.actors[self.actors.index(actor)] = newcomer
        return newcomer

    def close(self) -> None:
        """Ends all actors."""
        for actor in self.actors:
            ray.kill(actor)


def actor_starter(
    job: BlockJob[Any, Any], backend: Backend, placement: Placement, num_actors: int
) -> Callable[[], Any]:
    """Returns a function that starts one actor each time it is called.

    Args:
        job: What the actors are for.
        backend: Who reads the shards.
        placement: How they are spread over the cluster.
        num_actors: How many there are to be.
    """
    num_gpus = gpus_for_each(placement.gpus_per_actor, num_actors)
    # What no node has would never be placed.
    num_cpus = min(job.cpus_per_actor, largest_node_cpus())
    actor_class = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus)(BlockActor)
    turns = itertools.count()

    def start() -> Any:
        strategy: Any = "DEFAULT"  # not in the placement group of a trial that starts them
        if placement.spread:
            # Ray's "SPREAD" may put two on one of two nodes.
            nodes = nodes_with(num_cpus, num_gpus)
            if nodes:
                node = nodes[next(turns) % len(nodes)]
                strategy = NodeAffinitySchedulingStrategy(node, soft=True)
        return actor_class.options(scheduling_strategy=strategy).remote(job, backend)

    return start


def run_block_job(
    job: BlockJob[Any, Any], backend: Backend, placement: Placement, patience_s: float
) -> None:
    """Makes the missing parts of a job on as many actors as there is room for.

    Args:
        job: The job.
        backend: Who reads the shards.
        placement: How the actors are spread over the cluster.
        patience_s: How long no block may be finished before the job is given up.
    """
    blocks = job.missing_blocks()
    if not blocks:
        return
    num_actors = max(1, min(max_actors(job.cpus_per_actor, placement), len(blocks)))
    pool = ActorPool(job, backend, placement, num_actors)
    try:
        run_schedule(pool, BlockSchedule(job.task, blocks), patience_s)
    finally:
        pool.close()


def run_schedule(pool: ActorPool, schedule: BlockSchedule, patience_s: float) -> None:
    """Runs every block of a schedule on the actors of a pool, each from when it is up.

    Where an actor dies another takes its place, and its blocks go to any actor that is free: for
    the newcomer there may be no room while a node is gone.

    Args:
        pool: The actors.
        schedule: The blocks.
        patience_s: How long nothing may happen before the pool counts as stalled.

    Raises:
        RunError: For a pool that is stalled or dies again and again; else what a block raised.
    """
    patience = Patience(patience_s)
    report_progress(schedule.task, 0, schedule.num_blocks)
    running: dict[Any, tuple[Any, Hashable | None]] = {}  # reference -> (actor, block)
    for actor in pool.actors:
        running[actor.ready.remote()] = (actor, None)
    while not schedule.finished:
        finished, _ = ray.wait(list(running), timeout=patience.next_look_s)
        if finished:
            patience.news()
        elif patience.left_s <= 0:
            raise schedule.stalled_error(patience_s)
        elif patience.is_note_due():
            note = patience.note()
            report_progress(schedule.task, schedule.num_done, schedule.num_blocks, note=note)
        for reference in finished:
            actor, block = running.pop(reference)
            try:
                ray.get(reference)
            except _ACTOR_LOST as error:
                newcomer = pool.replace(actor)
                if newcomer is not None:
                    schedule.process_lost(actor)
                    running[newcomer.ready.remote()] = (newcomer, None)
                if block is not None:
                    schedule.block_lost(block)
                schedule.check_going_on(len(pool.actors), block, describe_loss(error))
                continue
            except RayError as error:
                raise told_error(schedule.task, error) from None
            if block is None:
                schedule.process_up(actor)
            else:
                schedule.block_done(actor)
            report_progress(schedule.task, schedule.num_done, schedule.num_blocks)
        for actor, block in schedule.assign():
            running[actor.run.remote(block)] = (actor, block)
