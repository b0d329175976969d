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

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

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
class FixedPattern(PatternDetector):
    """How strongly a sample has the pattern of its label, in standard deviations of the others.

    The others are the samples of all other labels. `fixed_pattern_rarity` is 1 - p, with the
    conformal p-value of the sample among them, where the sample belongs to the upper of two groups
    of its label's scores, and else 0; near-copies of one image count once. In a label without a
    pattern both are 0.
    """

    name: ClassVar[str] = "fixed_pattern"
    filters_version: ClassVar[int] = 3

    search: PatternSearch = PatternSearch()

    @property
    def num_filters(self) -> None:
        return None

    @property
    def program(self) -> Callable[[Worker, Artifact, NetworkInputs], None]:
        return _search

    def read(self, batch: "SampleBatch") -> Columns:
        (filters,) = self.models
        return {
            f"{self.name}_of_labels": batch.logits(filters),
            f"{self.name}_fold": self.folds_of_batch(batch),
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
