"""Tensors of all workers in one, with gradient: what a contrastive loss over the global batch needs."""

import torch
import torch.distributed as dist


class _Gather(torch.autograd.Function):
    """All-gather forward; backward sums the gradients of all workers and takes the own slice.

    With the mean of gradients that DistributedDataParallel takes, a loss of the gathered tensor that every worker
    computes alike has the gradient of one process that holds the whole batch.
    """

    @staticmethod
    def forward(ctx, tensor: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor.contiguous())
        ctx.rows = len(tensor)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        start = dist.get_rank() * ctx.rows
        return total[start : start + ctx.rows]


def gather(tensor: torch.Tensor) -> torch.Tensor:
    """Returns [world_size * B, ...], the equally long tensors of all workers in rank order, with gradient to each."""
    if tensor.dtype == torch.bool:
        return gather(tensor.byte()).bool()
    return _Gather.apply(tensor)
