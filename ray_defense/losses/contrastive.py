"""The semi-supervised contrastive loss SS-CTL, Eq. (2) with the terms of Eq. (9).

Shapes: B samples, V views a sample, D projection, A = B * V anchors.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from ray_defense.core.errors import InputError, unknown_name

Positives = Literal["paper", "authors"]


def semi_supervised_contrastive(
    z_BVD: Tensor,
    labels_B: Tensor,
    trusted_B: Tensor,
    *,
    temperature: float,
    positives: Positives = "paper",
) -> Tensor:
    """Returns SS-CTL, the mean over all views as anchors.

    An untrusted anchor attracts the other views of its own sample. A trusted anchor also attracts
    every view of the trusted samples of its label, averaged outside the logarithm (SupCon's L_out).
    The loss is computed in float32 at least, under autocast too.

    Args:
        z_BVD: Projections with V >= 2 views a sample. The caller promises that they have unit
            length along D.
        labels_B: int64 labels.
        trusted_B: bool, which samples are trusted.
        temperature: T, above 0.
        positives: "paper" as above; with "authors", a trusted anchor attracts all samples of its
            label, trusted or not (D3).

    Returns:
        A scalar.

    Raises:
        InputError: For fewer than two views, a temperature not above 0 or unknown positives.
    """
    if positives not in get_args(Positives):
        raise unknown_name("positives of the contrastive loss", positives, get_args(Positives))
    if z_BVD.ndim != 3 or z_BVD.shape[1] < 2:
        shape = list(z_BVD.shape)
        raise InputError(
            f"contrastive loss needs [B, V, D] with V >= 2 views, not {shape}: add a view"
        )
    if not temperature > 0:
        raise InputError(f"temperature must be above 0, not {temperature!r}")
    num_samples, num_views, _ = z_BVD.shape
    with torch.autocast(z_BVD.device.type, enabled=False):
        z_AD = z_BVD.flatten(0, 1).to(torch.promote_types(z_BVD.dtype, torch.float32))
        similarity_AA = z_AD @ z_AD.T / temperature
        same_view_AA = torch.eye(len(z_AD), dtype=torch.bool, device=z_AD.device)
        log_denominator_A = similarity_AA.masked_fill(same_view_AA, -torch.inf).logsumexp(dim=1)

        trusted_B = trusted_B.bool()
        attracts_BB = (labels_B[:, None] == labels_B[None, :]) & trusted_B[:, None]
        if positives == "paper":
            attracts_BB = attracts_BB & trusted_B[None, :]
        same_sample_BB = torch.eye(num_samples, dtype=torch.bool, device=z_AD.device)
        attracts_BB = attracts_BB | same_sample_BB
        attracts_AA = attracts_BB.repeat_interleave(num_views, 0).repeat_interleave(num_views, 1)
        attracts_AA = attracts_AA & ~same_view_AA

        mean_similarity_A = (similarity_AA * attracts_AA).sum(dim=1) / attracts_AA.sum(dim=1)
        return (log_denominator_A - mean_similarity_A).mean()
