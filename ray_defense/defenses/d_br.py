"""D-BR (Algorithm 4): a backdoored model unlearns the flagged samples and relearns the trusted."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.config import choice, departure
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.execution.protocols import Worker
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.protocol import Model
from ray_defense.store.artifacts import Artifact
from ray_defense.training.settings import Sgd, SupervisedConfig
from ray_defense.transforms import AUGMENTATIONS
from ray_defense.transforms.contrastive import Contrastive


@dataclass(frozen=True)
class BackdoorRemoval:
    """D-BR; it takes the network and the augmentation of the backdoored model.

    Gradient ascent on the flagged samples has no end of its own: on small sets it destroys what
    relearning repairs, and it may only move the trigger to another class. `unlearn_above` is the
    agreement with the flagged labels up to which a round leaves unlearning out. `unlearning` other
    than "ascent" has a bound: the flagged samples learn to be of no class ("uniform"), or of the
    class that a network without eyes for triggers gives them ("semantic"): it is trained from
    scratch on all samples that are not flagged, under strong augmentation.

    `companions` are the trusted samples beside each flagged one in a batch of unlearning, which
    holds `batch_size` samples in all (D11). No loss looks at them, but batch normalization does:
    without them its statistics take out what all flagged samples share, the trigger. The labels
    are then compared with `unlearn_above` before each step, too, on the flagged of its batch.

    `keep="last"` keeps the last round; `keep="splits"` keeps the round with the largest accuracy
    on the trusted samples minus agreement with the labels of the flagged ones. Neither sees test
    data or truth (D7).
    """

    name: ClassVar[str] = "d_br"
    title: ClassVar[str] = "D-BR"
    version: ClassVar[int] = 2
    repairs: ClassVar[bool] = True
    needs: ClassVar[str] = "a split"
    parts_used: ClassVar[tuple[str, ...]] = ("trusted", "flagged")

    rounds: int = 20  # e_ft
    steps: tuple[Literal["unlearn", "relearn"], ...] = ("unlearn", "relearn")  # of each round
    unlearning: Literal["ascent", "uniform", "semantic"] = "ascent"  # the paper's is "ascent"
    # In [0, 1], or "chance": 1 / classes. None: every round unlearns, as in the paper.
    unlearn_above: float | Literal["chance"] | None = None
    companions: int = departure(0)  # 0: flagged samples alone, as in the paper
    semantic_epochs: int = 10  # of the network that gives semantic labels
    semantic_sgd: Sgd = Sgd(0.05)
    semantic_augmentation: Any = choice(AUGMENTATIONS, default=Contrastive())
    batch_size: int = 128  # over all workers
    sgd: Sgd = Sgd(1e-4)  # one optimizer for both steps
    keep: Literal["last", "splits"] = "last"
    workers: WorkerGroup = WorkerGroup()

    def __post_init__(self) -> None:
        check_at_least("d_br.rounds", self.rounds, 1)
        check_at_least("d_br.batch_size", self.batch_size, 2)
        check_at_least("d_br.companions", self.companions, 0)
        check_at_least("d_br.semantic_epochs", self.semantic_epochs, 1)
        if self.unlearn_above is not None and self.unlearn_above != "chance":
            check_in_range("d_br.unlearn_above", self.unlearn_above, 0, 1)

    @property
    def num_epochs(self) -> int:
        return self.rounds + (self.semantic_epochs if self.unlearning == "semantic" else 0)

    def network(self, backdoored: SupervisedConfig | None) -> Model:
        assert backdoored is not None
        model: Model = backdoored.model
        return model

    def train(self, worker: Worker, artifact: Artifact, inputs: DefenseInputs) -> None:
        from ray_defense.defenses.d_br_training import train_d_br

        train_d_br(self, worker, artifact, inputs)
