"""The fixed pattern: many images of one label have the same thing at the same place.

A trigger that is pasted or blended into images at one place adds the same pattern to all of them.
In the average local contrast of a label it stands out, because everything else of the images
averages away. Out of fold, a search finds in each label the pattern that some of its images share
and its other images do not, and the score is how strongly an image has the pattern of its own
label. It looks at pixels and labels alone: no network is trained, no rate is assumed, and nothing
is learned from clean data. It is blind to triggers that move, that bend the image, or that are
smooth.

Shapes: N samples, C classes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.detectors.decision.protocol import rarity_column
from ray_defense.detectors.folds import fold_key, folds_of
from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.required_models import NetworkInputs, SmallNetworks
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.matched_filters import MatchedFilters
from ray_defense.scores.conformal import conformal_p_values
from ray_defense.store.artifacts import Artifact
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch

FILTERS_VERSION = 1


@dataclass(frozen=True)
class PatternSearch:
    """How the pattern of a label is looked for."""

    folds: int = 2
    exemplars: int = 30  # images of each kind whose own contrasts are starts of the search
    shares: tuple[float, ...] = (0.01, 0.04)  # of a label that may have the pattern, as starts
    kept: int = 3  # starts of each share that are followed to the end
    # The cosine of the patterns that the two halves of the samples lead to, below which a label
    # has no pattern.
    min_agreement: float = 0.35
    fewest: int = 40  # images of a label, below which it has no pattern
    max_bytes: int = 1 << 30  # of the contrasts of one label; of more images, a part is drawn
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


@dataclass(frozen=True)
class FixedPattern:
    """How strongly a sample has the pattern of its label, in standard deviations of the others.

    The others are the samples of all other labels. `fixed_pattern_rarity` is 1 - p, with the
    conformal p-value of the sample among them, where the sample belongs to the upper of two groups
    of its label's scores, and else 0; near-copies of one image count once. In a label without a
    pattern both are 0. The evidence's metric `alikeness` says how alike the images of most labels
    are by themselves.
    """

    name: ClassVar[str] = "fixed_pattern"
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    search: PatternSearch = PatternSearch()

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name, rarity_column(self.name))

    @property
    def models(self) -> tuple[SmallNetworks, ...]:
        filters = SmallNetworks(
            name=self.name,
            version=FILTERS_VERSION,
            training=self.search,
            network=MatchedFilters(),
            num_folds=self.search.folds,
            num_classes=None,
            program=_search,
        )
        return (filters,)

    def read(self, batch: "SampleBatch") -> Columns:
        (filters,) = self.models
        key = fold_key(batch.seed, filters.name)
        return {
            f"{self.name}_of_labels": batch.logits(filters),
            f"{self.name}_fold": folds_of(batch.index_B, key, filters.num_folds),
        }

    def finish(self, gathered: "Gathered") -> Finished:
        from ray_defense.detectors.alikeness import alikeness_of_labels
        from ray_defense.detectors.pattern_rarity import forget_copies, in_upper_groups

        scores_NC = gathered.columns[f"{self.name}_of_labels"]
        fold_N = gathered.columns[f"{self.name}_fold"]
        labels_N = gathered.dataset.labels
        scores_N = np.zeros(len(labels_N))
        rarity_N = np.zeros(len(labels_N))
        for label in np.unique(labels_N).tolist():
            own_N = labels_N == label
            of_label_N = np.asarray(scores_NC[:, label], np.float64)
            scores_N[own_N] = of_label_N[own_N]
            if own_N.all():
                continue
            rarity_N[own_N] = 1 - conformal_p_values(of_label_N[own_N], of_label_N[~own_N])
            folds = [np.flatnonzero(own_N & (fold_N == fold)) for fold in range(self.search.folds)]
            rarity_N[own_N & ~in_upper_groups(scores_N, folds)] = 0
            forget_copies(rarity_N, gathered.dataset, own_N)
        metrics = {"alikeness": alikeness_of_labels(gathered.dataset)}
        return Finished({self.name: scores_N, rarity_column(self.name): rarity_N}, metrics)


def _search(worker: Worker, artifact: Artifact, inputs: NetworkInputs) -> None:
    from ray_defense.detectors.pattern_search import search_patterns

    search_patterns(worker, artifact, inputs)
