"""L_intra, the similarity of class centers that fine-tunes the probe, Eq. (8).

Shapes: B samples, D features, N classes.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

_SMALLEST_NORM = 1e-8  # a shorter center has no direction: its cosine's gradient grows as 1 / norm


def class_center_similarity(features_BD: Tensor, labels_B: Tensor, num_classes: int) -> Tensor:
    """Returns 1/N^2 times the sum over i != j of cos(c_i, c_j), c_i the mean feature of the samples labelled i.

    Centers are those of the given batch (D4: give the global one); absent classes and zero centers add nothing and
    get no gradient, while N stays `num_classes`. Labels are int64 in [0, N). Float32 at least, under autocast too.
    """
    with torch.autocast(features_BD.device.type, enabled=False):
        features_BD = features_BD.to(torch.promote_types(features_BD.dtype, torch.float32))
        members_BN = one_hot(labels_B, num_classes).to(features_BD.dtype)
        centers_ND = members_BN.T @ features_BD / members_BN.sum(dim=0).clamp(min=1)[:, None]
        norms_N1 = torch.linalg.vector_norm(centers_ND, dim=1, keepdim=True)
        directed_N1 = norms_N1 > _SMALLEST_NORM
        units_ND = torch.where(directed_N1, centers_ND / norms_N1.clamp(min=_SMALLEST_NORM), 0.0)
        # sum over all pairs = |sum of units|^2; each i = j adds exactly 1
        return (units_ND.sum(dim=0).square().sum() - directed_N1.sum()) / num_classes**2
