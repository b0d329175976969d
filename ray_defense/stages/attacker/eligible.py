"""attack, source --eligible--> the training samples that the attack may poison."""

import numpy as np

from ray_defense.attacks import Attack
from ray_defense.data.sources import Source


def eligible(attack: Attack, source: Source) -> np.ndarray:
    """Returns bool [N] over the training split; False where a label is none of the classes."""
    labels = source.labels("train")
    chosen = (labels >= 0) & (labels < source.info().num_classes)
    chosen[chosen] = attack.aim.eligible(labels[chosen])
    return chosen
