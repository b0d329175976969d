"""What the detectors of patterns share: matched filters, searched for out of fold.

A trigger that is pasted or blended into images at one place adds the same pattern to all of them.
A search in one part of the images finds filters for such patterns, and the other part is scored.

Shapes: B samples of a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.detectors.decision.protocol import rarity_column
from ray_defense.detectors.folds import fold_key, folds_of
from ray_defense.detectors.required_models import NetworkInputs, SmallNetworks
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.matched_filters import MatchedFilters
from ray_defense.store.artifacts import Artifact
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class PatternSearch:
    """How a pattern is looked for."""

    folds: int = 2
    exemplars: int = 30  # images of each kind whose own contrasts are starts of the search
    shares: tuple[float, ...] = (0.01, 0.04)  # of the images that may have it, as starts
    kept: int = 3  # starts of each share that are followed to the end
    # The cosine of the patterns that the two halves of the samples lead to, below which there is
    # none.
    min_agreement: float = 0.35
    fewest: int = 40  # images, below which there is no pattern
    max_bytes: int = 1 << 30  # of the contrasts that are searched; of more images, a part is drawn
    workers: WorkerGroup = WorkerGroup(cpus_per_worker=1)

    def __post_init__(self) -> None:
        check_at_least("search.folds", self.folds, 2)
        check_at_least("search.exemplars", self.exemplars, 0)
        check_at_least("search.kept", self.kept, 1)
        check_in_range("search.min_agreement", self.min_agreement, 0, 1)
        check_at_least("search.fewest", self.fewest, 4)
        check_at_least("search.max_bytes", self.max_bytes, 1 << 20)
        for share in self.shares:
            check_in_range("search.shares", share, 1e-4, 0.5)

    @property
    def num_epochs(self) -> int:
        return 1


class PatternDetector:
    """A score of how strongly a sample has a pattern, and `<name>_rarity`, 1 - p of that score.

    The evidence's metric `alikeness` says how alike the images of most labels are by themselves.
    """

    name: ClassVar[str]
    filters_version: ClassVar[int]  # of the code that searches
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    search: PatternSearch

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name, rarity_column(self.name))

    @property
    def num_filters(self) -> int | None:
        """Of a fold; None for one of each label."""
        raise NotImplementedError

    @property
    def program(self) -> Callable[[Worker, Artifact, NetworkInputs], None]:
        """The search of one fold."""
        raise NotImplementedError

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        filters = SmallNetworks(
            name=self.name,
            version=self.filters_version,
            training=self.search,
            network=MatchedFilters(),
            num_folds=self.search.folds,
            num_classes=self.num_filters,
            program=self.program,
        )
        return (filters,)

    def folds_of_batch(self, batch: "SampleBatch") -> np.ndarray:
        """Returns the fold of each sample, [B]; its filters were searched for in the others."""
        (filters,) = self.models
        key = fold_key(batch.seed, filters.name)
        return folds_of(batch.index_B, key, filters.num_folds)
