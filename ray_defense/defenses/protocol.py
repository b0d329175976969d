"""What a defense provides, and what its training takes."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.protocol import Model
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import checked_file
from ray_defense.training.normalization import Normalization
from ray_defense.training.settings import SupervisedConfig

if TYPE_CHECKING:
    from ray_defense.data.split_table import SplitTable
    from ray_defense.data.training_set import TrainingSet


class Defense(Protocol):
    """A frozen dataclass whose fields are the parameters of the defense."""

    name: ClassVar[str]
    title: ClassVar[str]  # as tables and reports call it
    version: ClassVar[int]  # changes when its code changes its result
    repairs: ClassVar[bool]  # whether it starts from the backdoored model
    needs: ClassVar[str]  # beside the suspect dataset: "nothing", "clean data" or "a split"

    @property
    def parts_used(self) -> tuple[str, ...]:
        """The parts of the split that it uses; without any it does not depend on the split.

        A part that is empty is refused, but for a flagged part where a verdict says that there is
        nothing to flag.
        """

    @property
    def batch_size(self) -> int:
        """Samples a batch, over all workers."""

    @property
    def workers(self) -> WorkerGroup:
        """The group of training processes."""

    @property
    def num_epochs(self) -> int:
        """How many epochs `train` reports, for the progress display."""

    def network(self, backdoored: SupervisedConfig | None) -> Model:
        """Returns the network of the model that it leaves.

        Args:
            backdoored: How the backdoored model was trained, where there is one.
        """

    def train(self, worker: Worker, artifact: Artifact, inputs: "DefenseInputs") -> None:
        """Fills the `work` of an artifact: `model.safetensors`, and `metrics.json` with `history`.

        It sees the suspect dataset, the split, the backdoored model if it repairs, and clean images
        if it says that it needs them; never the truth, never a test set.
        """


@dataclass(frozen=True)
class DefenseInputs:
    """What the training of a defense takes."""

    seed: int
    suspect: Artifact
    split: Artifact | None  # for defenses that use a part of it
    backdoored: Artifact | None  # for defenses that repair
    backdoored_config: SupervisedConfig | None
    normalization: Normalization
    clean: Artifact | None = None  # the clean share of the source, for defenses that take it

    @cached_property
    def split_table(self) -> "SplitTable":
        """The split of the suspect dataset."""
        from ray_defense.data.split_table import read_split

        assert self.split is not None
        return read_split(self.split.path)

    def open_part(self, worker: Worker, workers: WorkerGroup, part: str) -> "TrainingSet":
        """Returns the samples of one part of the split on the device of a worker.

        Args:
            worker: This training process.
            workers: The group that it belongs to.
            part: "trusted", "flagged" or "uncertain"; a part that is not empty.
        """
        return self.open_samples(worker, workers, self.split_table.members(part))

    def open_samples(
        self, worker: Worker, workers: WorkerGroup, select: np.ndarray | None = None
    ) -> "TrainingSet":
        """Returns samples of the suspect dataset, all of them by default, on a worker's device."""
        from ray_defense.data.training_set import open_training_set

        return open_training_set(worker, self.suspect.path, workers.resident_bytes, select)

    def open_clean(self, worker: Worker, workers: WorkerGroup) -> "TrainingSet":
        """Returns the clean share, or without one the trusted part, on a worker's device."""
        from ray_defense.data.training_set import open_training_set

        if self.clean is None:
            return self.open_part(worker, workers, "trusted")
        return open_training_set(worker, self.clean.path, workers.resident_bytes)

    def load_backdoored(self, worker: Worker, num_classes: int) -> Any:
        """Returns the backdoored model, a `FeatureClassifier`, on the device of a worker."""
        from ray_defense.models.file_names import WEIGHTS
        from ray_defense.models.weights import load_model
        from ray_defense.training.loop import to_device

        assert self.backdoored is not None and self.backdoored_config is not None
        weights = self.backdoored.path / WEIGHTS
        model = load_model(checked_file(weights), self.backdoored_config.model, num_classes)
        return to_device(model, worker.device)
