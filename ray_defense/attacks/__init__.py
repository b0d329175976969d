"""Floor 1: backdoor attacks, one file each (the paper's App. C.3); `ATTACKS` names them."""

from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.badnets_all2all import BadNetsAllToAll
from ray_defense.attacks.blend_signal import BlendSignal
from ray_defense.attacks.protocol import Attack, Phase
from ray_defense.attacks.sig import Sig

ATTACKS: dict[str, type[Attack]] = {
    "badnets": BadNets,
    "badnets_all2all": BadNetsAllToAll,
    "blend_signal": BlendSignal,
    "sig": Sig,
}

__all__ = ["ATTACKS", "Attack", "BadNets", "BadNetsAllToAll", "BlendSignal", "Phase", "Sig"]
