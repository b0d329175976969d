"""The handed pattern: many images, of any label, have at one place what mirror images have not.

A trigger that is pasted or blended into images at one place adds the same pattern to all of them.
Photographs are as frequent as their mirror images, so a mirror image has such a pattern as rarely
as an image without the trigger. Out of fold, a search finds what images stand out by most; the
score is how strongly an image has it. It looks at no label, and needs no network, no rate and no
clean data: it finds triggers in all labels alike, and samples that cover a backdoor. It is blind to
triggers that are their own mirror image, that move, that bend the image, or that are smooth.

Shapes: N samples.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

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

FILTER_VERSION = 1


@dataclass(frozen=True)
class HandedPattern:
    """How strongly a sample has the pattern, in standard deviations of the mirror images.

    `handed_pattern_rarity` is 1 - p, with the conformal p-value of the sample among all mirror
    images, where the sample belongs to the upper of two groups of scores, and else 0; near-copies
    of one image count once. Without a pattern both are 0. The evidence's metric `alikeness` says
    how alike the images of most labels are by themselves.
    """

    name: ClassVar[str] = "handed_pattern"
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    # Its shares are of all images, of which a trigger may have fewer than of a label.
    search: PatternSearch = PatternSearch(shares=(0.002, 0.01, 0.05))

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
            num_classes=2,
            program=_search,
        )
        return (filters,)

    def read(self, batch: "SampleBatch") -> Columns:
        (filters,) = self.models
        logits_B2 = batch.logits(filters)
        key = fold_key(batch.seed, filters.name)
        return {
            self.name: logits_B2[:, 0],
            f"{self.name}_mirrored": logits_B2[:, 1],  # what its mirror image would have
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
