"""ANP, the baseline that prunes the neurons which an adversary could use best.

Source: Wu and Wang, "Adversarial neuron pruning purifies backdoored deep models" (ANP), NeurIPS
2021.
"""

from dataclasses import dataclass
from typing import ClassVar

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.defenses.clean_data import CleanDataRepair
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.detectors.step_epochs import num_epochs_of
from ray_defense.execution.protocols import Worker
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd


@dataclass(frozen=True)
class NeuronPruning(CleanDataRepair):
    """Masks of the neurons, trained against the worst small change of them, then a threshold.

    A neuron is a channel of a BatchNorm, as in the code of the paper. Public code chooses the
    threshold by the test ASR, which nobody who defends can know. Here the threshold rises in steps
    as long as the accuracy on the clean images stays within `max_accuracy_drop` of that of the
    backdoored model, and the last one is kept (D7).
    """

    name: ClassVar[str] = "anp"
    title: ClassVar[str] = "ANP"
    version: ClassVar[int] = 1

    steps: int = 2000  # of the masks
    batch_size: int = 128  # over all workers
    sgd: Sgd = Sgd(0.2, weight_decay=0.0)  # of the masks
    epsilon: float = 0.4  # the largest relative change of a neuron's weight and bias
    ascent_steps: int = 1  # of the adversary, for each step of the masks
    alpha: float = 0.2  # weight of the loss without an adversary, in [0, 1]
    threshold_step: float = 0.05  # the thresholds are its multiples below 1
    max_accuracy_drop: float = 0.05  # on the clean images, a fraction in [0, 1]

    def __post_init__(self) -> None:
        check_at_least("anp.steps", self.steps, 1)
        check_at_least("anp.batch_size", self.batch_size, 2)
        check_at_least("anp.epsilon", self.epsilon, 0)
        check_at_least("anp.ascent_steps", self.ascent_steps, 1)
        check_in_range("anp.alpha", self.alpha, 0, 1)
        check_in_range("anp.threshold_step", self.threshold_step, 0.001, 1)
        check_in_range("anp.max_accuracy_drop", self.max_accuracy_drop, 0, 1)

    @property
    def num_epochs(self) -> int:
        return num_epochs_of(self.steps)

    def train(self, worker: Worker, artifact: Artifact, inputs: DefenseInputs) -> None:
        from ray_defense.defenses.anp_training import train_anp

        train_anp(self, worker, artifact, inputs)
