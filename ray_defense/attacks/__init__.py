"""Backdoor attacks, one file each: the paper's eight (App. C.3), then four more."""

from ray_defense.attacks.protocol import Attack
from ray_defense.core.registry import Registry

ATTACKS: Registry[type[Attack]] = Registry(
    "ray_defense.attacks",
    {
        "badnets": "badnets.BadNets",
        "badnets_all2all": "badnets_all2all.BadNetsAllToAll",
        "trojan": "trojan.Trojan",
        "blend_signal": "blend_signal.BlendSignal",
        "blend_picture": "blend_picture.BlendPicture",
        "sig": "sig.Sig",
        "label_consistent": "label_consistent.LabelConsistent",
        "ssba": "ssba.Ssba",
        "adaptive_blend": "adaptive_blend.AdaptiveBlend",
        "adaptive_patch": "adaptive_patch.AdaptivePatch",
        "wanet": "wanet.WaNet",
        "robust_patch": "robust_patch.RobustPatch",
    },
)
