"""The epoch loop: a list of epochs run in order, checkpointed after each, resumed after the last finished one."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch

from ray_defense.core.errors import Failed, Refused
from ray_defense.execution.protocols import Worker

Metrics = dict[str, float]
Module = TypeVar("Module", bound=torch.nn.Module)


def run_epochs(worker: Worker, parts: Mapping[str, Any], epochs: Sequence[Callable[[], Metrics]]) -> list[Metrics]:
    """Runs every epoch not yet in the checkpoint and returns the metrics of all of them.

    `parts` maps names to what has `state_dict` and `load_state_dict`: models (unwrapped) and optimizers. An epoch is a
    function that trains `parts` for one epoch and returns its metrics, the same on every worker.
    Raises Failed when a metric is not finite, before a checkpoint of it is kept.
    """
    history: list[Metrics] = []
    state = worker.load()
    if state is not None:
        if state["device"] != worker.device.type:
            raise Refused(
                f"the checkpoint was made on {state['device']} and this is {worker.device.type}, whose arithmetic differs: "
                "resume there, or remove the stage's .work directory"
            )
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        history = state["history"]
    for number in range(len(history), len(epochs)):
        metrics = epochs[number]()
        broken = {name: value for name, value in metrics.items() if not math.isfinite(value)}
        if broken:
            raise Failed(f"epoch {number + 1} of {len(epochs)} gave {broken}: lower the learning rate and run again")
        history.append(metrics)
        if worker.rank == 0:
            state = {name: part.state_dict() for name, part in parts.items()}
            worker.save({"parts": state, "history": history, "device": worker.device.type})
        worker.report({"epoch": number + 1, **metrics})
    return history


def sgd_step(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Takes one step of the optimizer down `loss`."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def to_device(model: Module, device: torch.device) -> Module:
    """Returns the model on the device, channels last: its convolutions take a quarter less time so on a CPU, too."""
    return model.to(device=device, memory_format=torch.channels_last)


def autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """Returns bfloat16 autocast on a GPU and nothing on the CPU, whose results are compared to the bit."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()


class Mean:
    """A mean over samples, summed on the device and reduced over the workers once, at the end."""

    def __init__(self, worker: Worker):
        self._worker = worker
        self._sums = torch.zeros(2, dtype=torch.float64, device=worker.device)

    def add(self, total: torch.Tensor, count: int) -> None:
        """Adds a sum over `count` samples."""
        self._sums += torch.stack((total.detach().to(self._sums), torch.tensor(count).to(self._sums)))

    def value(self) -> float:
        """Returns the mean over all samples of all workers; 0 where there were none."""
        total, count = self._worker.sum(self._sums).tolist()
        return total / count if count else 0.0
