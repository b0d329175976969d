"""The handed pattern: many images, of any label, have at one place what mirror images have not.

A trigger that is pasted or blended into images at one place adds the same pattern to all of them.
Photographs are as frequent as their mirror images, so a mirror image has such a pattern as rarely
as an image without the trigger. Out of fold, a search finds what images stand out by most, and then
again among the others, for a few patterns; the score is how strongly an image has one of them. It
looks at no label, and needs no network, no rate and no clean data: it finds triggers in all labels
alike, and samples that cover a backdoor. It is blind to triggers that are their own mirror image,
that move, that bend the image, or that are smooth.

Shapes: N samples, B samples of a batch, P filters: two a pattern.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least
from ray_defense.detectors.decision.protocol import rarity_column
from ray_defense.detectors.fixed_pattern import PatternSearch
from ray_defense.detectors.folds import fold_key, folds_of
from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.required_models import NetworkInputs, SmallNetworks
from ray_defense.execution.protocols import Worker
from ray_defense.models.matched_filters import MatchedFilters
from ray_defense.scores.conformal import conformal_p_values
from ray_defense.store.artifacts import Artifact
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch

FILTER_VERSION = 2


@dataclass(frozen=True)
class HandedSearch(PatternSearch):
    """How patterns of all labels are looked for; shares are of all images."""

    shares: tuple[float, ...] = (0.002, 0.01, 0.05)
    max_patterns: int = 4  # at most, one after the other
    # How many times more frequent than among mirror images a pattern is among the highest scores;
    # below, it is none.
    min_enrichment: float = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("search.max_patterns", self.max_patterns, 1)
        check_at_least("search.min_enrichment", self.min_enrichment, 1)


@dataclass(frozen=True)
class HandedPattern:
    """How strongly a sample has one of the patterns, in standard deviations of mirror images.

    `handed_pattern_rarity` is 1 - p, with the conformal p-value of the sample among all mirror
    images, where the sample belongs to the upper of two groups of scores, and else 0; near-copies
    of one image count once. Without a pattern both are 0. The evidence's metric `alikeness` says
    how alike the images of most labels are by themselves.
    """

    name: ClassVar[str] = "handed_pattern"
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    search: HandedSearch = HandedSearch()

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name, rarity_column(self.name))

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        filters = SmallNetworks(
            name=self.name,
            version=FILTER_VERSION,
            training=self.search,
            network=MatchedFilters(),
            num_folds=self.search.folds,
            num_classes=2 * self.search.max_patterns,
            program=_search,
        )
        return (filters,)

    def read(self, batch: "SampleBatch") -> Columns:
        (filters,) = self.models
        logits_BP = batch.logits(filters)
        key = fold_key(batch.seed, filters.name)
        return {
            self.name: logits_BP[:, 0::2].max(axis=1),
            # What the mirror image would have.
            f"{self.name}_mirrored": logits_BP[:, 1::2].max(axis=1),
            f"{self.name}_fold": folds_of(batch.index_B, key, filters.num_folds),
        }

    def finish(self, gathered: "Gathered") -> Finished:
        from ray_defense.detectors.alikeness import alikeness_of_labels
        from ray_defense.detectors.pattern_rarity import keep_upper_groups

        scores_N = np.asarray(gathered.columns[self.name], np.float64)
        mirrored_N = np.asarray(gathered.columns[f"{self.name}_mirrored"], np.float64)
        fold_N = gathered.columns[f"{self.name}_fold"]
        rarity_N = 1 - conformal_p_values(scores_N, mirrored_N)
        folds = [np.flatnonzero(fold_N == fold) for fold in range(self.search.folds)]
        keep_upper_groups(rarity_N, scores_N, folds, gathered.dataset)
        metrics = {"alikeness": alikeness_of_labels(gathered.dataset)}
        return Finished({self.name: scores_N, rarity_column(self.name): rarity_N}, metrics)


def _search(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    from ray_defense.detectors.handed_search import search_handed_pattern

    search_handed_pattern(worker, artifact, inputs)
