"""The group of processes that trains a model."""

from dataclasses import dataclass

from ray_defense.core.checks import check_at_least


@dataclass(frozen=True)
class WorkerGroup:
    """The training processes of a stage.

    They are part of its configuration: batch statistics, and the order in which gradients are
    summed, depend on them.
    """

    num_workers: int = 1
    cpus_per_worker: int = 2  # threads of torch in each
    resident_bytes: int = (
        2 << 30
    )  # pixels up to this size stay on the device; beyond it they stream

    def __post_init__(self) -> None:
        check_at_least("num_workers", self.num_workers, 1)
        check_at_least("cpus_per_worker", self.cpus_per_worker, 1)
        check_at_least("resident_bytes", self.resident_bytes, 0)
