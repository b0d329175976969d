"""What the residual blocks of a network give, recorded as it runs."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

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


def last_blocks_of_stages(network: nn.Module) -> list[nn.Module]:
    """Returns the last residual block of each stage: of the blocks with equally many channels."""
    last: list[nn.Module] = []
    last_width = 0
    for block in residual_blocks(network):
        width = _width_of(block)
        if width == last_width:
            last[-1] = block
        else:
            last.append(block)
        last_width = width
    return last


def _width_of(block: nn.Module) -> int:
    """Returns how many channels a residual block gives."""
    norm = block.bn3 if isinstance(block, Bottleneck) else block.bn2
    assert isinstance(norm, nn.BatchNorm2d)
    return norm.num_features


class RecordedOutputs:
    """A context in which blocks record what they give.

    Attributes:
        outputs: [B, C, H, W] of each block of each forward pass, in order.
    """

    def __init__(self, blocks: Sequence[nn.Module]):
        self._blocks = blocks
        self._handles: list[RemovableHandle] = []
        self.outputs: list[Tensor] = []

    def __enter__(self) -> Self:
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
        self.outputs.append(output)


class RecordedBlocks(RecordedOutputs):
    """A context in which a network records its blocks' outputs, averaged over positions.

    Attributes:
        pooled: [B, C] of each block of each forward pass, in order.
    """

    def __init__(self, network: nn.Module):
        super().__init__(residual_blocks(network))
        self.pooled: list[Tensor] = []

    def _record(self, block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.pooled.append(output.mean(dim=(2, 3)))
