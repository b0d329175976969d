"""A GPU that is not there: torch's fake tensors have a device and a shape, and no numbers.

Code that mixes devices fails on them as it would on a GPU, but for backward passes, which are left
out, as are weight files. What makes the host wait for the GPU is
noted: a copy that blocks, and a number that the host reads.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ray_defense.core.on_device import constant
from ray_defense.defenses import d_br_training
from ray_defense.execution.local import LocalWorker
from ray_defense.models import weights
from ray_defense.store.artifacts import Artifact

GPU = torch.device("cuda", 0)


class FakeGpu(TorchDispatchMode):
    """Runs operations on fake tensors and notes which of them would make the host wait.

    Attributes:
        waits: What the host would have waited for, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        arguments: tuple[Any, ...] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(options or {})
        name = function.overloadpacket.__name__
        if name == "_local_scalar_dense":
            (tensor,) = arguments
            if tensor.device.type == "cuda":
                self.waits.append("a number")
            return True if tensor.dtype == torch.bool else 1.0 if tensor.is_floating_point() else 1
        if name == "_to_copy":
            target = options.get("device")
            source = arguments[0].device
            crosses = target is not None and torch.device(target).type != source.type
            if crosses and not options.get("non_blocking"):
                self.waits.append(f"a copy from {source.type}")
        return function(*arguments, **options)


class FakeGpuWorker(LocalWorker):
    """A worker on the fake GPU that keeps no checkpoint."""

    def __init__(self, artifact: Artifact):
        super().__init__(artifact, 1, GPU, "numpy")

    def save(self, state: Mapping[str, Any]) -> None:
        pass

    def load(self) -> dict[str, Any] | None:
        return None


@contextmanager
def fake_gpu() -> Iterator[FakeGpu]:
    """Runs the body with a fake GPU, to which `.to("cuda")` goes."""
    fake_mode = FakeTensorMode(allow_non_fake_inputs=True)
    gpu = FakeGpu()
    constant.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "pin_memory", _as_it_is)
        patch.setattr(torch.Tensor, "numpy", _numpy_of(torch.Tensor.numpy))
        patch.setattr(torch.Tensor, "tolist", _list_of(torch.Tensor.tolist, gpu))
        patch.setattr(torch.Tensor, "backward", _no_gradient)
        patch.setattr(torch.nn.Module, "to", _move_module)
        patch.setattr(safetensors.torch, "save", _no_bytes)
        for module in (weights, d_br_training):
            patch.setattr(module, "load_weights", _leave_weights)
        patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
        with fake_mode, gpu:
            yield gpu
    constant.cache_clear()


def _no_gradient(loss: torch.Tensor) -> None:
    """Does nothing: torch's autograd needs the streams of a real GPU."""


def _no_bytes(tensors: Mapping[str, torch.Tensor]) -> bytes:
    return b""


def _leave_weights(path: Path, model: torch.nn.Module) -> None:
    pass


def _as_it_is(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _numpy_of(real: Callable[[torch.Tensor], np.ndarray]) -> Callable[[torch.Tensor], np.ndarray]:
    def numpy(tensor: torch.Tensor) -> np.ndarray:
        if not isinstance(tensor, FakeTensor):
            return real(tensor)
        if tensor.device.type != "cpu":
            raise TypeError("can't convert a tensor on a GPU to numpy: copy it to the host first")
        dtype = torch.empty(0, dtype=tensor.dtype, device="meta").dtype
        return np.zeros(tuple(tensor.shape), dtype=str(dtype).removeprefix("torch."))

    return numpy


def _list_of(real: Callable[[torch.Tensor], Any], gpu: FakeGpu) -> Callable[[torch.Tensor], Any]:
    def tolist(tensor: torch.Tensor) -> Any:
        if not isinstance(tensor, FakeTensor):
            return real(tensor)
        if tensor.device.type == "cuda":
            gpu.waits.append("a list of numbers")
        return np.zeros(tuple(tensor.shape)).tolist()

    return tolist


def _move_module(
    module: torch.nn.Module, device: Any = None, *_: Any, **options: Any
) -> torch.nn.Module:
    """Does what `Module.to` does, which cannot exchange a parameter for a fake one."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                moved = parameter.detach().to(device, non_blocking=True)
                needs_gradient = parameter.requires_grad
                part._parameters[name] = torch.nn.Parameter(moved, needs_gradient)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(device, non_blocking=True)
    return module
