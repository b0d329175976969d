"""Defenses: models without the backdoor, from the split of a suspect dataset."""

from ray_defense.core.registry import Registry
from ray_defense.defenses.protocol import Defense

DEFENSES: Registry[type[Defense]] = Registry(
    "ray_defense.defenses",
    {
        "d_br": "d_br.BackdoorRemoval",
        "d_st": "d_st.SecureTraining",
        "ft": "ft.FineTuning",
        "anp": "anp.NeuronPruning",
        "nad": "nad.AttentionDistillation",
        "mcr": "mcr.ModeConnectivityRepair",
        "abl": "abl.AntiBackdoorLearning",
        "simclr": "simclr.SimClr",
        "supcon": "supcon.SupCon",
        "dbd": "dbd.Decoupling",
    },
)
