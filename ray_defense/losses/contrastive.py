"""The semi-supervised contrastive loss SS-CTL, Eq. (2) with the terms of Eq. (9).

Shapes: B samples, V views a sample, D projection, A = B * V anchors.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from ray_defense.core.errors import Refused, unknown

Positives = Literal["paper", "authors"]


def semi_supervised_contrastive(
    z_BVD: Tensor, labels_B: Tensor, trusted_B: Tensor, *, temperature: float, positives: Positives = "paper"
) -> Tensor:
    """Returns SS-CTL, the mean over all views as anchors.

    An untrusted anchor attracts its own other views; a trusted one also every view of the trusted samples of its label
    (`positives="authors"`: of all samples of its label, D3), averaged outside the logarithm.
    z_BVD has unit length along D and V >= 2 (the caller's promise is the length); labels int64, trusted bool.
    Computed in float32 at least, under autocast too. Raises Refused. Source: Eq. (2), (9); SupCon's L_out.
    """
    if positives not in get_args(Positives):
        raise unknown("positives of the contrastive loss", positives, get_args(Positives))
    if z_BVD.ndim != 3 or z_BVD.shape[1] < 2:
        raise Refused(f"contrastive loss needs [B, V, D] with V >= 2 views, not {list(z_BVD.shape)}: add a view")
    if not temperature > 0:
        raise Refused(f"temperature must be above 0, not {temperature!r}")
    num_samples, num_views, _ = z_BVD.shape
    with torch.autocast(z_BVD.device.type, enabled=False):
        z_AD = z_BVD.flatten(0, 1).to(torch.promote_types(z_BVD.dtype, torch.float32))
        similarity_AA = z_AD @ z_AD.T / temperature
        itself_AA = torch.eye(len(z_AD), dtype=torch.bool, device=z_AD.device)
        log_denominator_A = similarity_AA.masked_fill(itself_AA, -torch.inf).logsumexp(dim=1)

        supervised_BB = (labels_B[:, None] == labels_B[None, :]) & trusted_B.bool()[:, None]
        if positives == "paper":
            supervised_BB = supervised_BB & trusted_B.bool()[None, :]
        attracts_BB = supervised_BB | torch.eye(num_samples, dtype=torch.bool, device=z_AD.device)
        attracts_AA = attracts_BB.repeat_interleave(num_views, 0).repeat_interleave(num_views, 1) & ~itself_AA

        mean_similarity_A = (similarity_AA * attracts_AA).sum(dim=1) / attracts_AA.sum(dim=1)
        return (log_denominator_A - mean_similarity_A).mean()
