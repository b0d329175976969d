"""SupCon, Baseline 2 of the paper: the extractor learns from all labels as received (App. C.4).

Source: Khosla et al., "Supervised contrastive learning" (SupCon), NeurIPS 2020.
"""

from dataclasses import dataclass
from typing import ClassVar

from ray_defense.defenses.contrastive_baseline import ContrastiveBaseline


@dataclass(frozen=True)
class SupCon(ContrastiveBaseline):
    """A view of an image attracts every view of the samples with the same label."""

    name: ClassVar[str] = "supcon"
    title: ClassVar[str] = "SupCon"
    uses_labels: ClassVar[bool] = True
