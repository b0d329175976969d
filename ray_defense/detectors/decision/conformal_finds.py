"""What a one-sided column adds to the flagged: Benjamini-Hochberg on conformal p-values.

Such a column (how far features move, say) has no other tail to count false finds in, and needs
reference samples without a trigger. Once other detectors suspect some labels, the samples of all
other labels are such a reference, and so are samples that the user vouches for. So it can add to
what others flagged, but it cannot give evidence by itself.

Shapes: N samples.
"""

from collections.abc import Collection

import numpy as np

from ray_defense.scores.conformal import conformal_p_values
from ray_defense.scores.false_discovery import benjamini_hochberg
from ray_defense.scores.robust_z import robust_z_within_label


def find_by_reference(
    scores_N: np.ndarray,
    labels_N: np.ndarray,
    flagged_N: np.ndarray,
    *,
    suspected: Collection[int],
    rate: float,
    vouched_N: np.ndarray | None = None,
) -> np.ndarray:
    """Returns which samples of suspected labels a one-sided column flags beside others, bool [N].

    Scores are compared as robust z within their label, over the samples that are not flagged. The
    rate holds as far as clean samples of all labels have z of one law.

    Args:
        scores_N: The column, float64.
        labels_N: Labels as received.
        flagged_N: Which samples other detectors flagged, bool.
        suspected: The labels that they suspect. If these are all labels, only samples that somebody
            vouches for are a reference.
        rate: The false discovery rate among the samples that are added.
        vouched_N: Samples without a trigger, whatever their label, bool; None for none.
    """
    finds_N = np.zeros(len(scores_N), bool)
    in_suspected_N = np.isin(labels_N, list(suspected))
    if vouched_N is None:
        vouched_N = np.zeros(len(scores_N), bool)
    tested = np.flatnonzero(in_suspected_N & ~flagged_N & ~vouched_N)
    reference = np.flatnonzero((~in_suspected_N & ~flagged_N) | vouched_N)
    if not len(tested) or not len(reference):
        return finds_N
    z_N = np.zeros(len(scores_N))
    unflagged = np.flatnonzero(~flagged_N)
    z_N[unflagged] = robust_z_within_label(scores_N[unflagged, None], labels_N[unflagged])[:, 0]
    p_values = conformal_p_values(z_N[tested], z_N[reference])
    finds_N[tested] = benjamini_hochberg(p_values, rate)
    return finds_N
