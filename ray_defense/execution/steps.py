"""Steps: the artifacts of a run, what each needs, and how the missing ones are made.

A step names one artifact before it is made. Running a plan means making the steps that the store
does not hold, needs first; steps that are made the same way and are ready together share a worker
group or a pass over the data.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ray_defense.core.errors import RayDefenseError
from ray_defense.execution.protocols import Executor, TrainJob
from ray_defense.store.artifacts import Artifact, Store


class Work(Protocol):
    """How an artifact is made."""

    @property
    def bundle(self) -> Hashable | None:
        """Steps whose works have an equal bundle are made together; None: each by itself."""

    @property
    def shares_pass(self) -> bool:
        """Whether steps of one bundle cost less together than one after another."""

    def make(self, steps: Sequence["Step"], executor: Executor) -> None:
        """Fills and publishes the artifacts of `steps`, whose works are all of this bundle."""


@dataclass(frozen=True)
class Step:
    """One artifact: where it stands, which steps it needs, and how it is made."""

    artifact: Artifact
    needs: tuple["Step", ...]
    work: Work

    @property
    def key(self) -> str:
        """The fingerprint of the artifact."""
        return self.artifact.key


@dataclass(frozen=True)
class FunctionWork:
    """An artifact that a function of the driver fills; it may hand work to the executor."""

    function: Callable[[Artifact, Executor], None]
    bundle: None = None
    shares_pass: bool = False

    def make(self, steps: Sequence[Step], executor: Executor) -> None:
        for step in steps:
            start = time.perf_counter()
            self.function(step.artifact, executor)
            step.artifact.publish(time.perf_counter() - start)


@dataclass(frozen=True)
class TrainingWork:
    """An artifact that a training job makes; jobs that are ready together share a worker group.

    It is how defenses are trained, and models that several workers train.
    """

    job: TrainJob[Any]
    bundle: str = "training"
    shares_pass: bool = False

    def make(self, steps: Sequence[Step], executor: Executor) -> None:
        executor.train([training_job(step) for step in steps])


@dataclass(frozen=True)
class SmallTrainingWork:
    """An artifact that a job of one worker makes, side by side with others that are ready."""

    job: TrainJob[Any]
    bundle: str = "small training"
    shares_pass: bool = False

    def make(self, steps: Sequence[Step], executor: Executor) -> None:
        executor.train_side_by_side([training_job(step) for step in steps])


def work_of_job(job: TrainJob[Any]) -> TrainingWork | SmallTrainingWork:
    """Returns how a model is trained: by a group of workers, or side by side with others by one."""
    return TrainingWork(job) if job.workers.num_workers > 1 else SmallTrainingWork(job)


def training_job(step: Step) -> TrainJob[Any]:
    """Returns the training job that makes a step."""
    assert isinstance(step.work, TrainingWork | SmallTrainingWork)
    return step.work.job


def with_needs(steps: Iterable[Step]) -> list[Step]:
    """Returns the steps and all that they need, each once, needs first."""
    ordered: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.key in ordered:
            return
        for need in step.needs:
            visit(need)
        ordered[step.key] = step

    for step in steps:
        visit(step)
    return list(ordered.values())


def unsettled_steps(steps: Iterable[Step], store: Store) -> list[Step]:
    """Returns the steps that a run has to make, fetch or send, needs first.

    What a finished step was made from is not asked for: it may have been deleted.
    """
    steps = list(steps)
    artifacts = [step.artifact for step in with_needs(steps)]
    settled = store.settled_keys(artifacts)
    finished = store.finished_keys(artifacts)
    found: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.key in found or step.key in settled:
            return
        if step.key not in finished:
            for need in step.needs:
                visit(need)
        found[step.key] = step

    for step in steps:
        visit(step)
    return list(found.values())


def make_steps(
    steps: Iterable[Step], store: Store, executor: Executor, *, keep_going: bool = False
) -> None:
    """Makes what the store does not hold of the steps and of what these need.

    Args:
        steps: The steps that are to be finished afterwards.
        store: The store that holds their artifacts.
        executor: Who does the work; it is not touched where nothing is missing.
        keep_going: Whether a step that fails only leaves out those that need it, without an error.

    Raises:
        InputError, RunError: As the work of a step does, unless `keep_going`.
    """
    waiting = unsettled_steps(steps, store)
    if waiting:
        executor.check_store(store.root)
    while waiting:
        batch = _next_batch(waiting)
        try:
            _make_batch(batch, store, executor)
        except RayDefenseError:
            if not keep_going:
                raise
        done = {step.key for step in batch}
        unmade = {step.key for step in batch if not step.artifact.exists}
        rest = [step for step in waiting if step.key not in done]
        waiting = _without_dependents(rest, unmade)


def _next_batch(waiting: Sequence[Step]) -> list[Step]:
    """Returns the first step whose needs are made, with all ready ones of its bundle."""
    keys = {step.key for step in waiting}
    ready = [step for step in waiting if not any(need.key in keys for need in step.needs)]
    bundle = ready[0].work.bundle
    if bundle is None:
        return ready[:1]
    return [step for step in ready if step.work.bundle == bundle]


def _make_batch(batch: Sequence[Step], store: Store, executor: Executor) -> None:
    with store.claim([step.artifact for step in batch]) as missing:
        to_make = [step for step in batch if step.artifact in missing]
        if to_make:
            to_make[0].work.make(to_make, executor)


def _without_dependents(waiting: Sequence[Step], unmade: set[str]) -> list[Step]:
    """Returns the waiting steps, needs first, that need none of the unmade ones."""
    left_out = set(unmade)
    kept = []
    for step in waiting:
        if any(need.key in left_out for need in step.needs):
            left_out.add(step.key)
        else:
            kept.append(step)
    return kept
