"""Where work runs on a cluster: it changes no result, so it is no part of a recipe and enters no fingerprint."""

from dataclasses import dataclass

from ray_defense.core.checks import at_least


@dataclass(frozen=True)
class Placement:
    """What an executor may ask of a cluster; a single process ignores it.

    A fraction of a GPU lets several processes share one: scoring actors, or the trials of a sweep. Workers of one training
    stage cannot share one (NCCL refuses).
    """

    nodes: int = 0  # living nodes with CPUs to wait for before anything runs; an autoscaler is not asked for them
    wait_s: float = 600.0  # for them, in seconds
    spread: bool = False  # training workers and scoring actors over many nodes, not packed on few
    actors: int | None = None  # for scoring; None: as many as GPUs, or else CPU slots, have room for
    gpus_per_actor: float | None = None  # None: one where there is one for each actor, else none; given: waited for
    gpus_per_worker: float | None = None  # the same for a worker of a training stage and for a trial of a sweep

    def __post_init__(self) -> None:
        at_least("placement.nodes", self.nodes, 0)
        at_least("placement.wait_s", self.wait_s, 0)
        if self.actors is not None:
            at_least("placement.actors", self.actors, 1)
        for name in ("gpus_per_actor", "gpus_per_worker"):
            if getattr(self, name) is not None:
                at_least(f"placement.{name}", getattr(self, name), 0)


ANYWHERE = Placement()
