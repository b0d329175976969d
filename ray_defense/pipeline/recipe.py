"""The complete configuration of a run."""

from dataclasses import dataclass
from typing import Any

from ray_defense.attacks import ATTACKS
from ray_defense.core.checks import check_distinct
from ray_defense.core.config import choice
from ray_defense.data.sources import SOURCES
from ray_defense.data.sources.digits import Digits
from ray_defense.defenses import DEFENSES
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining
from ray_defense.defenses.protocol import Defense
from ray_defense.detectors.decision import DECISIONS
from ray_defense.detectors.decision.fractions import Fractions
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.stages.attacker.attacker_config import AttackerConfig
from ray_defense.stages.backdoored import BACKDOORED, BACKDOORED_TITLE
from ray_defense.stages.canaries import CanaryConfig
from ray_defense.stages.clean_share import CleanShareConfig
from ray_defense.stages.detect import DetectConfig
from ray_defense.stages.evaluation import EvaluationConfig
from ray_defense.stages.given_model import GivenModel
from ray_defense.stages.ingest import IngestConfig
from ray_defense.stages.poison import PoisonConfig
from ray_defense.stages.pretrained import PretrainedWeights
from ray_defense.training.normalization import NORMALIZATIONS, Normalization
from ray_defense.training.settings import SupervisedConfig


@dataclass(frozen=True)
class Recipe:
    """A complete configuration.

    Without an attack the source is taken as it is, and there is no truth to compare with. Without
    `backdoored` only the scores and the split are wanted, and what needs no backdoored model. With
    `given` the backdoored model is a file of the user and is not trained; `backdoored` then says
    which network it is, and how its images are augmented while it is repaired. With
    `pretrained` the probe starts from a file of weights.
    """

    name: str
    seed: int = 0
    source: Any = choice(SOURCES, default=Digits())
    attack: Any | None = choice(ATTACKS, default=None)
    attacker: AttackerConfig = AttackerConfig()
    poison: PoisonConfig = PoisonConfig()
    ingest: IngestConfig = IngestConfig()
    clean: CleanShareConfig = CleanShareConfig()
    normalization: Normalization = choice(NORMALIZATIONS, default=NORMALIZATIONS["cifar10"])
    probe: ProbeConfig = ProbeConfig()
    pretrained: PretrainedWeights | None = None
    detect: DetectConfig = DetectConfig()
    decide: Any = choice(DECISIONS, default=Fractions())
    canaries: CanaryConfig = CanaryConfig(sizes=())
    backdoored: SupervisedConfig | None = SupervisedConfig()
    given: GivenModel | None = None
    defenses: tuple[Defense, ...] = choice(DEFENSES, default=(BackdoorRemoval(), SecureTraining()))
    evaluation: EvaluationConfig = EvaluationConfig()

    def __post_init__(self) -> None:
        check_distinct("defenses", [defense.name for defense in self.defenses])

    def model_titles(self) -> dict[str, str]:
        """Returns how tables and reports call each model, by its name."""
        titles = {}
        if self.backdoored is not None:
            titles[BACKDOORED] = BACKDOORED_TITLE
        for defense in self.defenses:
            titles[defense.name] = defense.title
        return titles
