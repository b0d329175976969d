"""Spectral signatures (Tran et al., NeurIPS 2018) as a detector."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.required_models import RequiredModel
from ray_defense.detectors.shared_model import ModelName, shared_model
from ray_defense.scores.spectral_signatures import spectral_signatures
from ray_defense.transforms.protocol import Transform

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class SpectralSignatures:
    """How far the features of a sample lie along the main direction of its label."""

    name: ClassVar[str] = "spectral_signatures"
    tau: ClassVar[tuple[Transform, ...]] = ()
    draws: ClassVar[int] = 0

    model: ModelName = "probe"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def models(self) -> tuple[RequiredModel, ...]:
        return (shared_model(self.model),)

    def read(self, batch: "SampleBatch") -> Columns:
        return {f"{self.name}_features": batch.features(shared_model(self.model))}

    def finish(self, gathered: "Gathered") -> Finished:
        features_ND = gathered.columns[f"{self.name}_features"]
        scores_N = spectral_signatures(features_ND, gathered.dataset.labels)
        return Finished({self.name: scores_N})
