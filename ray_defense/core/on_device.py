"""What a GPU needs beside a device: uploads that do not wait, and convolutions that do not round.

An ordinary copy from the host's memory waits until the GPU has done all that was queued before it.
A training step that waits so leaves the GPU idle while the host prepares the next kernels.
"""

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def upload(array: np.ndarray, device: "torch.device") -> "torch.Tensor":
    """Returns a tensor on the device with the values of an array.

    On a CPU it shares the memory of the array. To a GPU it is copied through pinned memory, in the
    order of the GPU's queue.
    """
    import torch

    return send(torch.from_numpy(array), device)


def send(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """Returns a tensor of the host on the device; see `upload`."""
    import torch

    if device.type != "cuda":
        return tensor.to(device)
    if not tensor.numel():
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
    return tensor.pin_memory().to(device, non_blocking=True)


@lru_cache(maxsize=64)
def constant(
    values: tuple[float, ...], dtype: "torch.dtype", device: "torch.device"
) -> "torch.Tensor":
    """Returns a tensor of constants that is copied to the device once; it must not be changed."""
    import torch

    return torch.tensor(values, dtype=dtype, device=device)


def exact_convolutions() -> AbstractContextManager[None]:
    """Returns a context in which a GPU convolves float32 in float32.

    Outside of it cuDNN rounds the inputs to 10 bits (TF32). A network does not mind; a picture that
    is kept in 8 bits, and a variance that is a difference of means, do.
    """
    import torch

    cudnn = torch.backends.cudnn
    context: AbstractContextManager[None] = cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=cudnn.benchmark,
        deterministic=cudnn.deterministic,
        allow_tf32=False,
    )
    return context
