"""The BatchNorm log-density (the idea of FLARE, TIFS 2025) as a detector.

Shapes: B samples, L layers.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ray_defense.detectors.protocol import Columns, Finished
from ray_defense.detectors.shared_model import ReadsSharedModel, shared_model
from ray_defense.scores.batchnorm_density import combine_layers

if TYPE_CHECKING:
    from ray_defense.detectors.gathered import Gathered
    from ray_defense.detectors.sample_batch import SampleBatch


@dataclass(frozen=True)
class BatchNormDensity(ReadsSharedModel):
    """How improbable the rarest activation of a sample is at the inputs of BatchNorm layers."""

    name: ClassVar[str] = "bn_density"

    def read(self, batch: "SampleBatch") -> Columns:
        from ray_defense.detectors.batchnorm_inputs import read_layer_surprises

        network = batch.network(shared_model(self.model))
        return {f"{self.name}_layers": read_layer_surprises(network, batch.view())}

    def finish(self, gathered: "Gathered") -> Finished:
        surprises_NL = gathered.columns[f"{self.name}_layers"]
        return Finished({self.name: combine_layers(surprises_NL, gathered.dataset.labels)})
