"""The attacker's own means: the networks that some attacks need, and their seed."""

from dataclasses import dataclass

from ray_defense.core.checks import check_at_least
from ray_defense.stages.attacker.ssba_encoder import SsbaEncoderConfig
from ray_defense.training.settings import SupervisedConfig


@dataclass(frozen=True)
class AttackerConfig:
    """How the attacker's networks are trained.

    Their seed is apart from the run's, so that runs of many seeds share them.
    """

    seed: int = 0
    surrogate: SupervisedConfig = SupervisedConfig()  # a classifier that Trojan and CL look into
    encoder: SsbaEncoderConfig = SsbaEncoderConfig()

    def __post_init__(self) -> None:
        check_at_least("attacker.seed", self.seed, 0)
