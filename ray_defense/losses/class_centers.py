"""L_intra, the similarity of class centers that fine-tunes the probe, Eq. (8).

Shapes: B samples, D features, N classes.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

# A shorter center has no direction: the gradient of its cosine grows as 1 / norm.
_SMALLEST_NORM = 1e-8


def class_center_similarity(features_BD: Tensor, labels_B: Tensor, num_classes: int) -> Tensor:
    """Returns L_intra, 1/N^2 times the sum over all pairs i != j of cos(c_i, c_j).

    The center c_i is the mean feature of the samples labeled i. Classes without samples and centers
    of length zero add nothing and get no gradient, while N stays `num_classes`. The loss is
    computed in float32 at least, under autocast too.

    Args:
        features_BD: The features of a batch; the centers are the batch's, so give the global one
            (D4).
        labels_B: int64 labels in [0, N).
        num_classes: N.

    Returns:
        A scalar.
    """
    with torch.autocast(features_BD.device.type, enabled=False):
        features_BD = features_BD.to(torch.promote_types(features_BD.dtype, torch.float32))
        members_BN = one_hot(labels_B, num_classes).to(features_BD.dtype)
        class_sizes_N = members_BN.sum(dim=0)
        centers_ND = members_BN.T @ features_BD / class_sizes_N.clamp(min=1)[:, None]
        norms_N1 = torch.linalg.vector_norm(centers_ND, dim=1, keepdim=True)
        has_direction_N1 = norms_N1 > _SMALLEST_NORM
        directions_ND = centers_ND / norms_N1.clamp(min=_SMALLEST_NORM)
        directions_ND = torch.where(has_direction_N1, directions_ND, 0.0)
        # The sum over all pairs is |sum of directions|^2, in which each i = j adds exactly 1.
        all_pairs = directions_ND.sum(dim=0).square().sum()
        loss: Tensor = (all_pairs - has_direction_N1.sum()) / num_classes**2
        return loss
