"""What should make a reader doubt the class balance of a trusted split."""

import numpy as np

from ray_defense.scores.label_free import starved_classes

_NUM_NAMED = 10  # classes that a note names


def balance_notes(trusted_counts: np.ndarray, all_counts: np.ndarray) -> list[str]:
    """Returns a note if classes have all but vanished from the trusted split.

    Args:
        trusted_counts: Trusted samples by class, int [C].
        all_counts: All samples by class, int [C].
    """
    starved = starved_classes(trusted_counts, all_counts)
    if not len(starved):
        return []
    named = ", ".join(map(str, starved[:_NUM_NAMED]))
    if len(starved) > _NUM_NAMED:
        named += ", ..."
    num_classes = int((all_counts > 0).sum())
    return [
        f"the trusted split has collapsed: {len(starved)} of {num_classes} classes have less "
        f"than a tenth of their share in it (classes {named}); defenses trained on it will "
        "lose these classes"
    ]
