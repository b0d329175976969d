"""Activation clustering: whether a sample lies in the smaller of two clusters of its label.

Source: Chen et al., "Detecting backdoor attacks on deep neural networks by activation clustering",
2018. Shapes: M samples, D features.
"""

import warnings
from dataclasses import dataclass

import numpy as np

from ray_defense.scores.labeled_rows import check_labeled_rows
from ray_defense.scores.one_thread import one_thread

_NUM_COMPONENTS = 10
_NUM_RESTARTS = 10
_MOST_COMPARED = 2000  # samples whose silhouette is averaged
_FEWEST_SAMPLES = 4  # fewer than this are not clustered


@dataclass(frozen=True, eq=False)
class ActivationClusters:
    """Which samples lie in the smaller clusters, and how clear-cut each label's clusters are."""

    scores_M: np.ndarray  # float64, larger is more suspicious
    silhouettes: dict[int, float]  # by label, in [-1, 1]; labels that were clustered


def activation_clustering(
    features_MD: np.ndarray, labels_M: np.ndarray, seed: int = 0
) -> ActivationClusters:
    """Clusters the features of each label in two.

    Features of a label are reduced by FastICA to 10 dimensions (fewer where their rank is lower),
    then parted by 2-means. The score of a sample in the smaller cluster is the share of the larger
    one, in (0.5, 1]; the score of all others is 0. Of two equal clusters none is the smaller.

    Args:
        features_MD: Finite features of all samples.
        labels_M: Labels as received, int.
        seed: Of the starting points of FastICA and 2-means.

    Returns:
        The scores, and the mean silhouette of each label (over at most 2,000 samples, evenly
        spaced). A label with fewer than 4 samples or with equal features has zeros.

    Raises:
        InputError: For other shapes, or features that are not finite.
    """
    features_MD, labels_M = check_labeled_rows("features", features_MD, labels_M)
    scores_M = np.zeros(len(labels_M))
    silhouettes = {}
    with one_thread():
        for label in np.unique(labels_M):
            members = np.flatnonzero(labels_M == label)
            reduced = _reduced(features_MD[members].astype(np.float64), seed)
            if reduced is None:
                continue
            in_second = _second_cluster(reduced, seed)
            scores_M[members] = smaller_cluster_scores(in_second)
            silhouettes[int(label)] = _mean_silhouette(reduced, in_second)
    return ActivationClusters(scores_M, silhouettes)


def smaller_cluster_scores(in_second: np.ndarray) -> np.ndarray:
    """Returns the share of the larger of two clusters for members of the smaller, 0 for others.

    Args:
        in_second: Which samples are in the second cluster, bool [n].
    """
    second_share = float(in_second.mean())
    if second_share < 0.5:
        return np.where(in_second, 1 - second_share, 0.0)
    if second_share > 0.5:
        return np.where(in_second, 0.0, second_share)
    return np.zeros(len(in_second))


def _reduced(features: np.ndarray, seed: int) -> np.ndarray | None:
    """Returns independent components of features, None where there are too few or no differences.

    Features of low rank are reduced to their rank: whitening divides by standard deviations.
    """
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    if len(features) < _FEWEST_SAMPLES:
        return None
    centered = features - features.mean(axis=0)
    variances, directions = np.linalg.eigh(centered.T @ centered / len(centered))
    # Features come as float32; variances below its resolution are noise of rounding.
    resolution = np.finfo(np.float32).eps ** 2 * np.square(features).sum(axis=1).mean()
    rank = int(np.count_nonzero(variances > resolution))
    num_components = min(_NUM_COMPONENTS, rank, len(features) - 1)
    if num_components == 0:
        return None
    scales = np.sqrt(variances[-num_components:])
    whitened = centered @ directions[:, -num_components:] / scales
    ica = FastICA(whiten=False, random_state=_state(seed))
    with warnings.catch_warnings():
        # Components that still turn a little part the samples as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        components: np.ndarray = ica.fit_transform(whitened)
    return components


def _second_cluster(reduced: np.ndarray, seed: int) -> np.ndarray:
    """Returns which samples are in the second of two clusters, bool [n]."""
    from sklearn.cluster import KMeans

    means = KMeans(n_clusters=2, n_init=_NUM_RESTARTS, random_state=_state(seed))
    in_second: np.ndarray = means.fit_predict(reduced) == 1
    return in_second


def _mean_silhouette(reduced: np.ndarray, in_second: np.ndarray) -> float:
    from sklearn.metrics import silhouette_score

    step = -(-len(reduced) // _MOST_COMPARED)
    compared = in_second[::step]
    if compared.all() or not compared.any():
        return 0.0
    return float(silhouette_score(reduced[::step], compared))


def _state(seed: int) -> int:
    return seed % 2**32
