"""Spectral signatures: how far features lie along the main direction of their label.

Source: Tran, Li and Madry, "Spectral signatures in backdoor attacks", NeurIPS 2018. The published
code then removes 1.5 times the true number of poisoned samples; that number is not known here.
Shapes: M samples, D features.
"""

import numpy as np

from ray_defense.scores.labeled_rows import check_labeled_rows
from ray_defense.scores.one_thread import one_thread

_CHUNK_ROWS = 4096


def spectral_signatures(features_MD: np.ndarray, labels_M: np.ndarray) -> np.ndarray:
    """Returns `(centered feature . v)^2` of each sample.

    Features are centered within the label; v is the first right singular vector of the centered
    features of the label, found from their second moments [D, D], so that beside the features
    themselves only a chunk of them is held in float64.

    Args:
        features_MD: Finite features of all samples.
        labels_M: Labels as received, int.

    Returns:
        float64 [M]; larger is more suspicious. A label whose features are all equal has zeros.

    Raises:
        InputError: For other shapes, or features that are not finite.
    """
    features_MD, labels_M = check_labeled_rows("features", features_MD, labels_M)
    scores_M = np.zeros(len(labels_M))
    with one_thread():
        for label in np.unique(labels_M):
            members = np.flatnonzero(labels_M == label)
            scores_M[members] = _scores_of_label(features_MD, members)
    return scores_M


def _scores_of_label(features_MD: np.ndarray, members: np.ndarray) -> np.ndarray:
    num_features = features_MD.shape[1]
    chunks = [members[low : low + _CHUNK_ROWS] for low in range(0, len(members), _CHUNK_ROWS)]
    total_D = np.zeros(num_features)
    for chunk in chunks:
        total_D += features_MD[chunk].astype(np.float64).sum(axis=0)
    mean_D = total_D / len(members)
    moments_DD = np.zeros((num_features, num_features))
    for chunk in chunks:
        centered = features_MD[chunk].astype(np.float64) - mean_D
        moments_DD += centered.T @ centered
    if not moments_DD.any():
        return np.zeros(len(members))
    _, vectors_DD = np.linalg.eigh(moments_DD)
    direction_D = vectors_DD[:, -1]
    projections = []
    for chunk in chunks:
        centered = features_MD[chunk].astype(np.float64) - mean_D
        projections.append(centered @ direction_D)
    scores: np.ndarray = np.square(np.concatenate(projections))
    return scores
