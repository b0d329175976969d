"""Small arrays and constants on a device, without waiting for what a GPU still has to do.

An ordinary copy from the host's memory waits until the GPU has done all that was queued before it.
A training step that waits so leaves the GPU idle while the host prepares the next kernels.
"""

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

    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    if not array.size:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
    return tensor.pin_memory().to(device, non_blocking=True)


@lru_cache(maxsize=64)
def constant(
    values: tuple[float, ...], dtype: "torch.dtype", device: "torch.device"
) -> "torch.Tensor":
    """Returns a tensor of constants that is copied to the device once; it must not be changed."""
    import torch

    return torch.tensor(values, dtype=dtype, device=device)
