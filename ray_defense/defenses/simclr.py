"""SimCLR, Baseline 1 of the paper: the extractor learns without labels (App. C.4).

Source: Chen et al., "A simple framework for contrastive learning" (SimCLR), ICML 2020.
"""

from dataclasses import dataclass
from typing import ClassVar

from ray_defense.defenses.contrastive_baseline import ContrastiveBaseline


@dataclass(frozen=True)
class SimClr(ContrastiveBaseline):
    """A view of an image attracts the other view of the same image alone."""

    name: ClassVar[str] = "simclr"
    title: ClassVar[str] = "SimCLR"
    uses_labels: ClassVar[bool] = False
