"""What the residual blocks of a network give, recorded as it runs."""

from types import TracebackType

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torchvision.models.resnet import BasicBlock, Bottleneck


def residual_blocks(network: nn.Module) -> list[nn.Module]:
    """Returns the residual blocks of a network, from the input to the features."""
    blocks = []
    for module in network.modules():
        if isinstance(module, BasicBlock | Bottleneck):
            blocks.append(module)
    return blocks


class RecordedBlocks:
    """A context in which a network records its blocks' outputs, averaged over positions.

    Attributes:
        pooled: [B, C] of each block of each forward pass, in order.
    """

    def __init__(self, network: nn.Module):
        self._blocks = residual_blocks(network)
        self._handles: list[RemovableHandle] = []
        self.pooled: list[Tensor] = []

    def __enter__(self) -> "RecordedBlocks":
        for block in self._blocks:
            self._handles.append(block.register_forward_hook(self._record))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _record(self, block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.pooled.append(output.mean(dim=(2, 3)))
