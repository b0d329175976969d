"""Where work runs on a cluster: it changes no result, so it enters no fingerprint."""

from dataclasses import dataclass

from ray_defense.core.checks import check_at_least


@dataclass(frozen=True)
class Placement:
    """What an executor may ask of a cluster; a single process ignores it.

    A fraction of a GPU lets several processes share one: scoring actors, or the trials of a sweep.
    The workers of one training stage cannot share one (NCCL refuses).
    """

    nodes: int = 0  # living nodes with CPUs to wait for; an autoscaler is not asked for them
    wait_s: float = 600.0  # the longest wait for them
    spread: bool = False  # workers and actors on many nodes, not packed on few
    actors: int | None = None  # for scoring; None: as many as GPUs, else CPUs, have room for
    gpus_per_actor: float | None = None  # None: one where there is one for each; given: waited for
    gpus_per_worker: float | None = None  # the same for training workers and for trials of a sweep
    # How long work may bring nothing before it counts as hanging; None: as each kind of work says.
    patience_s: float | None = None

    def __post_init__(self) -> None:
        check_at_least("placement.nodes", self.nodes, 0)
        check_at_least("placement.wait_s", self.wait_s, 0)
        if self.actors is not None:
            check_at_least("placement.actors", self.actors, 1)
        if self.gpus_per_actor is not None:
            check_at_least("placement.gpus_per_actor", self.gpus_per_actor, 0)
        if self.gpus_per_worker is not None:
            check_at_least("placement.gpus_per_worker", self.gpus_per_worker, 0)
        if self.patience_s is not None:
            check_at_least("placement.patience_s", self.patience_s, 1)


ANYWHERE = Placement()
