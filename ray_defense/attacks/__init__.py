"""Floor 1: backdoor attacks, one file each; `ATTACKS` names them: the paper's eight (App. C.3), then four more."""

from ray_defense.attacks.adaptive_blend import AdaptiveBlend
from ray_defense.attacks.adaptive_patch import AdaptivePatch
from ray_defense.attacks.aims import AIMS, Aim, AllToAll, AllToOne, CleanLabel
from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.badnets_all2all import BadNetsAllToAll
from ray_defense.attacks.blend_picture import BlendPicture, default_picture
from ray_defense.attacks.blend_signal import BlendSignal
from ray_defense.attacks.clean_label import LabelConsistent
from ray_defense.attacks.protocol import Attack, Phase
from ray_defense.attacks.robust_patch import RobustPatch
from ray_defense.attacks.sig import Sig
from ray_defense.attacks.ssba import Ssba
from ray_defense.attacks.trojan import Trojan, optimize_patch
from ray_defense.attacks.wanet import WaNet

ATTACKS: dict[str, type[Attack]] = {
    "badnets": BadNets,
    "badnets_all2all": BadNetsAllToAll,
    "trojan": Trojan,
    "blend_signal": BlendSignal,
    "blend_picture": BlendPicture,
    "sig": Sig,
    "clean_label": LabelConsistent,
    "ssba": Ssba,
    "adaptive_blend": AdaptiveBlend,
    "adaptive_patch": AdaptivePatch,
    "wanet": WaNet,
    "robust_patch": RobustPatch,
}

__all__ = [
    "AIMS",
    "ATTACKS",
    "AdaptiveBlend",
    "AdaptivePatch",
    "Aim",
    "AllToAll",
    "AllToOne",
    "Attack",
    "BadNets",
    "BadNetsAllToAll",
    "BlendPicture",
    "BlendSignal",
    "CleanLabel",
    "LabelConsistent",
    "Phase",
    "RobustPatch",
    "Sig",
    "Ssba",
    "Trojan",
    "WaNet",
    "default_picture",
    "optimize_patch",
]
