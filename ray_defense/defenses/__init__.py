"""Floor 3: the paper's two defenses, D-BR and D-ST."""

from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining

DEFENSES = {"d_br": BackdoorRemoval, "d_st": SecureTraining}

__all__ = ["DEFENSES", "BackdoorRemoval", "SecureTraining"]
