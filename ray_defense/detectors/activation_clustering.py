"""Activation clustering (Chen et al., 2018) as a detector."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.core.random import stream
from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.shared_model import ReadsSharedModel, shared_model
from ray_defense.scores.activation_clustering import activation_clustering

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class ActivationClustering(ReadsSharedModel):
    """Whether the features of a sample lie in the smaller of two clusters of its label.

    The evidence's metric `silhouette` is the highest of a label.
    """

    name: ClassVar[str] = "activation_clustering"
    seed: int = 0  # of the starting points

    def read(self, batch: "SampleBatch") -> Columns:
        return {f"{self.name}_features": batch.features(shared_model(self.model))}

    def finish(self, gathered: "Gathered") -> Finished:
        features_ND = gathered.columns[f"{self.name}_features"]
        seed = stream(self.seed, self.name)
        clusters = activation_clustering(features_ND, gathered.dataset.labels, seed)
        silhouette = max(clusters.silhouettes.values(), default=0.0)
        return Finished({self.name: clusters.scores_M}, {"silhouette": silhouette})
