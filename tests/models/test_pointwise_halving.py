"""The 1x1 convolution of stride 2 for few channels: its values, and that memory stays whole."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from ray_defense.models.pointwise_halving import PointwiseHalving

TRAIN = """
import sys
import torch
from ray_defense.models.small_resnet import SmallResNet
model = SmallResNet(width=int(sys.argv[1])).build(10).to(memory_format=torch.channels_last)
for _ in range(20):
    images_BCHW = torch.rand(64, 3, 32, 32).to(memory_format=torch.channels_last)
    features_BD, logits_BN = model(images_BCHW)
    logits_BN.sum().backward()
"""


@pytest.mark.parametrize("side", [8, 9])
def test_it_computes_what_a_strided_convolution_computes(side: int):
    torch.manual_seed(0)
    strided = nn.Conv2d(4, 6, 1, stride=2, bias=False)
    halving = PointwiseHalving(4, 6)
    halving.load_state_dict(strided.state_dict())
    images_BCHW = torch.rand(2, 4, side, side, dtype=torch.float32)
    expected_BCHW = strided(images_BCHW)
    halved_BCHW = halving(images_BCHW)
    assert torch.allclose(halved_BCHW, expected_BCHW, atol=1e-6)
    expected_BCHW.square().sum().backward()
    halved_BCHW.square().sum().backward()
    assert torch.allclose(halving.weight.grad, strided.weight.grad, atol=1e-5)


@pytest.mark.parametrize("width", [4])
def test_training_a_narrow_network_does_not_corrupt_memory(width: int):
    training = subprocess.run(
        [sys.executable, "-c", TRAIN, str(width)],
        env={**os.environ, "MALLOC_CHECK_": "3", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert training.returncode == 0, training.stderr
