"""Gathers tensors of all workers with gradient, as a contrastive loss of a global batch needs."""

from typing import Any

import torch
import torch.distributed as dist


class _Gather(torch.autograd.Function):
    """All-gather forward; backward sums the gradients of all workers and takes the own slice.

    With the mean of gradients that DistributedDataParallel takes, a loss of the gathered tensor
    that every worker computes alike has the gradient of one process that holds the whole batch.
    """

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor.contiguous())
        ctx.num_rows = len(tensor)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.num_rows
        return total[start : start + ctx.num_rows]


def gather_with_gradient(tensor: torch.Tensor) -> torch.Tensor:
    """Returns the equally long tensors of all workers, [world_size * B, ...], in rank order.

    The gradient flows to each of them.
    """
    if tensor.dtype == torch.bool:
        return gather_with_gradient(tensor.byte()).bool()
    gathered: torch.Tensor = _Gather.apply(tensor)
    return gathered
