"""Features in the plane so that neighbors stay neighbors: t-SNE (van der Maaten and Hinton, 2008).

Shapes: M samples, D features.
"""

import numpy as np

_PERPLEXITY = 30  # how many neighbors count, the usual value
_FEWEST = 4  # samples that have neighbors to speak of


def neighbor_map(features_MD: np.ndarray, seed: int) -> np.ndarray:
    """Returns places of samples in the plane, from the principal components on.

    Distances between far groups mean nothing. Samples that do not differ, or fewer than four, all
    lie at one point.

    Args:
        features_MD: float, at least two features.
        seed: Of what is random in the search for places.

    Returns:
        float64 [M, 2].
    """
    from sklearn.manifold import TSNE

    num_samples = len(features_MD)
    if num_samples < _FEWEST or (features_MD == features_MD[0]).all():
        return np.zeros((num_samples, 2))
    tsne = TSNE(
        init="pca",
        perplexity=min(_PERPLEXITY, (num_samples - 1) / 3),
        random_state=seed % 2**32,
        n_jobs=1,
    )
    places_M2: np.ndarray = tsne.fit_transform(features_MD).astype(np.float64)
    return places_M2
