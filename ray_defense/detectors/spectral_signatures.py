"""Spectral signatures (Tran et al., NeurIPS 2018) as a detector."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.shared_model import ReadsSharedModel, shared_model
from ray_defense.scores.spectral_signatures import spectral_signatures

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class SpectralSignatures(ReadsSharedModel):
    """How far the features of a sample lie along the main direction of its label."""

    name: ClassVar[str] = "spectral_signatures"

    def read(self, batch: "SampleBatch") -> Columns:
        return {f"{self.name}_features": batch.features(shared_model(self.model))}

    def finish(self, gathered: "Gathered") -> Finished:
        features_ND = gathered.columns[f"{self.name}_features"]
        scores_N = spectral_signatures(features_ND, gathered.dataset.labels)
        return Finished({self.name: scores_N})
