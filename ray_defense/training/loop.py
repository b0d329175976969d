"""The epoch loop: epochs run in order, are checkpointed, and resumed after the last checkpoint."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch

from ray_defense.core.errors import InputError, RunError
from ray_defense.execution.protocols import Metrics, Worker

SMALL_CHECKPOINT_BYTES = 8 << 20  # written after every epoch
CHECKPOINT_INTERVAL_S = 60.0  # between larger ones, at least; the last epoch has one, too

Module = TypeVar("Module", bound=torch.nn.Module)


class Stateful(Protocol):
    """A part of a training that a checkpoint holds: a model (not wrapped) or an optimizer."""

    def state_dict(self) -> Any:
        """Returns the state."""

    def load_state_dict(self, state_dict: Any) -> Any:
        """Takes the state up."""


def run_epochs(
    worker: Worker, parts: Mapping[str, Stateful], epochs: Sequence[Callable[[], Metrics]]
) -> list[Metrics]:
    """Runs every epoch that is not yet in the checkpoint.

    A checkpoint of up to 8 MiB is written after every epoch. Writing a larger one may take as long
    as an epoch of a fast GPU, so it is written once a minute and after the last epoch. A run that
    is killed does the epochs of that minute again, to the same bits.

    Args:
        worker: This training process.
        parts: What a checkpoint holds, by name.
        epochs: Functions that train the parts for one epoch and return its metrics, the same on
            every worker.

    Returns:
        The metrics of all epochs, those before the checkpoint included.

    Raises:
        InputError: If the checkpoint was made on another kind of device.
        RunError: If a metric is not finite; no checkpoint of that epoch is kept.
    """
    history = _restore(worker, parts)
    written_s = time.monotonic()
    for position in range(len(history), len(epochs)):
        metrics = epochs[position]()
        broken = {name: value for name, value in metrics.items() if not math.isfinite(value)}
        if broken:
            raise RunError(
                f"epoch {position + 1} of {len(epochs)} gave {broken}: "
                "lower the learning rate and run again"
            )
        history.append(metrics)
        is_last = position + 1 == len(epochs)
        is_due = time.monotonic() - written_s >= CHECKPOINT_INTERVAL_S
        if worker.rank == 0:
            states = {name: part.state_dict() for name, part in parts.items()}
            if is_last or is_due or num_bytes(states) <= SMALL_CHECKPOINT_BYTES:
                checkpoint = {"parts": states, "history": history, "device": worker.device.type}
                worker.save(checkpoint)
                written_s = time.monotonic()
        worker.report_epoch(position + 1, metrics)
    return history


def num_bytes(state: Any) -> int:
    """Returns the bytes of all tensors in nested dictionaries, lists and tuples."""
    if isinstance(state, torch.Tensor):
        return state.nbytes
    if isinstance(state, Mapping):
        return sum(map(num_bytes, state.values()))
    if isinstance(state, list | tuple):
        return sum(map(num_bytes, state))
    return 0


def _restore(worker: Worker, parts: Mapping[str, Stateful]) -> list[Metrics]:
    """Loads the newest checkpoint into the parts and returns the metrics of its epochs."""
    checkpoint = worker.load()
    if checkpoint is None:
        return []
    if checkpoint["device"] != worker.device.type:
        raise InputError(
            f"the checkpoint was made on {checkpoint['device']} and this is {worker.device.type}, "
            "whose arithmetic differs: resume there, or remove the stage's .work directory"
        )
    for name, part in parts.items():
        part.load_state_dict(checkpoint["parts"][name])
    history: list[Metrics] = checkpoint["history"]
    return history


def take_step(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Takes one step of the optimizer down the loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def average_gradients(worker: Worker, parameters: Sequence[torch.Tensor]) -> None:
    """Averages the gradients of some parameters over all workers, for a model that is not wrapped.

    Every parameter must have a gradient.
    """
    if worker.world_size == 1:
        return
    gradients = []
    for parameter in parameters:
        assert parameter.grad is not None
        gradients.append(parameter.grad)
    total = worker.sum(torch.cat([gradient.flatten() for gradient in gradients]))
    sizes = [gradient.numel() for gradient in gradients]
    parts = torch.split(total / worker.world_size, sizes)
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def to_device(model: Module, device: torch.device) -> Module:
    """Returns the model on the device, channels last: a quarter faster on a CPU, too."""
    move: Callable[..., Module] = model.to  # its stub does not know `memory_format`
    return move(device=device, memory_format=torch.channels_last)


def autocast(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Returns bfloat16 autocast on a GPU; nothing on the CPU, whose results are exact."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()


class RunningMean:
    """A mean over samples, summed on the device and over the workers once, at the end."""

    def __init__(self, worker: Worker):
        self._worker = worker
        self._total = torch.zeros((), dtype=torch.float64, device=worker.device)
        self._count = 0

    def add(self, total: torch.Tensor, count: int) -> None:
        """Adds a sum over `count` samples."""
        self._total += total.detach().to(self._total)
        self._count += count

    def value(self) -> float:
        """Returns the mean over all samples of all workers; 0 where there were none."""
        sums = torch.stack((self._total, torch.full_like(self._total, self._count)))
        total, count = self._worker.sum(sums).tolist()
        return total / count if count else 0.0
