"""Attention maps and the distance of two of them, by which NAD distills.

Source: Li et al., "Neural attention distillation: erasing backdoor triggers from deep neural
networks" (NAD), ICLR 2021, Eq. (1) to (3). Shapes: B images, C channels, H rows, W columns, P = H *
W positions.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def attention_map(features_BCHW: Tensor, power: float = 2.0) -> Tensor:
    """Returns A(F) / |A(F)|, where A(F) = sum over channels of |F|^power.

    Args:
        features_BCHW: What a layer gives.
        power: p, above 0.

    Returns:
        [B, P], each row of length 1, in float32 at least; 0 where all features are.
    """
    features_BCHW = features_BCHW.to(torch.promote_types(features_BCHW.dtype, torch.float32))
    energy_BP = features_BCHW.abs().pow(power).sum(dim=1).flatten(1)
    return normalize(energy_BP, dim=1)


def attention_distance(student_BCHW: Tensor, teacher_BCHW: Tensor, power: float = 2.0) -> Tensor:
    """Returns the mean over images and positions of the squared difference of two maps.

    The paper writes the length of the difference; its code, for which the weights 500 and 1000 are
    meant, averages squares.
    """
    student_BP = attention_map(student_BCHW, power)
    teacher_BP = attention_map(teacher_BCHW, power)
    return (student_BP - teacher_BP).square().mean()
