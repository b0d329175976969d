"""The handed pattern: many images, of any label, have at one place what mirror images have not.

A trigger that is pasted or blended into images at one place adds the same pattern to all of them.
Photographs are as frequent as their mirror images, so a mirror image has such a pattern as rarely
as an image without the trigger. Out of fold, a search finds what images stand out by most, and then
again among the others, for a few patterns; the score is how strongly an image has one of them. It
looks at no label, and needs no network, no rate and no clean data: it finds triggers in all labels
alike, and samples that cover a backdoor. It is blind to triggers that are their own mirror image,
that move, that bend the image, or that are smooth.

Shapes: N samples, B samples of a batch, K patterns, P = 2K filters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.detectors.decision.protocol import rarity_column
from ray_defense.detectors.pattern_detector import PatternDetector, PatternSearch
from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.required_models import NetworkInputs
from ray_defense.execution.protocols import Worker
from ray_defense.scores.conformal import conformal_p_values
from ray_defense.store.artifacts import Artifact

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class HandedSearch(PatternSearch):
    """How patterns of all labels are looked for; shares are of all images."""

    shares: tuple[float, ...] = (0.002, 0.01, 0.05)
    max_patterns: int = 4  # at most, one after the other
    # How many times more frequent than among mirror images a pattern is among the highest scores,
    # and which share of the images stands out so far. Below, it is none: clean images share things,
    # too, such as near-copies of one photograph.
    min_enrichment: float = 8.0
    min_share: float = 0.004

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("search.max_patterns", self.max_patterns, 1)
        check_at_least("search.min_enrichment", self.min_enrichment, 1)
        check_in_range("search.min_share", self.min_share, 0, 1)


@dataclass(frozen=True)
class HandedPattern(PatternDetector):
    """How strongly a sample has one of the patterns, in standard deviations of mirror images.

    `handed_pattern_rarity` is 1 - p, with the smallest conformal p-value of the sample among all
    mirror images over the patterns where the sample belongs to the upper of two groups of scores,
    times the number of patterns, and else 0; near-copies of one image count once. Without a pattern
    both are 0.
    """

    name: ClassVar[str] = "handed_pattern"
    filters_version: ClassVar[int] = 4

    search: HandedSearch = HandedSearch()

    @property
    def num_filters(self) -> int:
        return 2 * self.search.max_patterns

    @property
    def program(self) -> Callable[[Worker, Artifact, NetworkInputs], None]:
        return _search

    def read(self, batch: "SampleBatch") -> Columns:
        (filters,) = self.models
        logits_BP = batch.logits(filters)
        return {
            f"{self.name}_of_patterns": logits_BP[:, 0::2],
            f"{self.name}_mirrored": logits_BP[:, 1::2],  # what the mirror image would have
            f"{self.name}_fold": self.folds_of_batch(batch),
        }

    def finish(self, gathered: "Gathered") -> Finished:
        from ray_defense.detectors.alikeness import alikeness_of_labels
        from ray_defense.detectors.pattern_rarity import forget_copies, in_upper_groups

        scores_NK = np.asarray(gathered.columns[f"{self.name}_of_patterns"], np.float64)
        mirrored_NK = np.asarray(gathered.columns[f"{self.name}_mirrored"], np.float64)
        fold_N = gathered.columns[f"{self.name}_fold"]
        folds = [np.flatnonzero(fold_N == fold) for fold in range(self.search.folds)]
        p_values_N = np.ones(len(fold_N))
        num_patterns = 0
        for scores_N, mirrored_N in zip(scores_NK.T, mirrored_NK.T, strict=True):
            if not scores_N.any():
                continue
            num_patterns += 1
            p_of_pattern_N = conformal_p_values(scores_N, mirrored_N)
            p_of_pattern_N[~in_upper_groups(scores_N, folds)] = 1
            p_values_N = np.minimum(p_values_N, p_of_pattern_N)
        rarity_N = 1 - np.minimum(1, max(1, num_patterns) * p_values_N)
        forget_copies(rarity_N, gathered.dataset)
        metrics = {"alikeness": alikeness_of_labels(gathered.dataset)}
        columns = {self.name: scores_NK.max(axis=1), rarity_column(self.name): rarity_N}
        return Finished(columns, metrics)


def _search(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    from ray_defense.detectors.handed_search import search_handed_pattern

    search_handed_pattern(worker, artifact, inputs)
