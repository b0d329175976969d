"""The networks that hide bits: their bounds, their gradients, and the rounding between them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ray_defense.core.errors import InputError
from ray_defense.models.seeded import build_seeded
from ray_defense.models.steganography import Steganography

SMALL = Steganography(num_bits=15, encoder_width=8, decoder_width=16)


def random_images(count: int, height: int, width: int, **options) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, height, width, generator=generator, **options)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 21), (32, 32), (33, 47), (48, 19)])
def test_the_residual_is_bounded_and_every_size_gives_all_bits(height, width):
    pair = build_seeded(replace(SMALL, max_residual=0.07).build, 3)
    images = random_images(2, height, width)
    bits = torch.tensor([[0.0] * 15, [1.0] * 15])
    with torch.no_grad():
        pair.encoder.residual.weight.mul_(1000)  # saturates
        stamped, logits = pair(images, bits)
    assert stamped.shape == images.shape
    assert logits.shape == (2, 15)
    assert stamped.min() >= 0
    assert stamped.max() <= 1
    assert 0.069 < (stamped - images).abs().max() <= 0.07 + 1e-6


def test_other_bits_and_other_images_give_other_residuals():
    images = random_images(2, 20, 20, dtype=torch.float64)
    encoder = build_seeded(SMALL.build, 3).encoder.double()
    bits = torch.zeros(2, 15, dtype=torch.float64)
    with torch.no_grad():
        residual = encoder(images, bits) - images
        residual_of_other_bits = encoder(images, 1 - bits) - images
    assert (residual - residual_of_other_bits).abs().mean() > 1e-3
    assert (residual[0] - residual[1]).abs().mean() > 1e-3


def test_the_gradient_of_the_bits_passes_the_rounding():
    pair = build_seeded(SMALL.build, 3)
    images = torch.full((2, 3, 16, 16), 0.5)
    _, logits = pair(images, torch.ones(2, 15))
    logits.sum().backward()
    for parameter in pair.encoder.parameters():
        assert parameter.grad.abs().sum() > 0


def test_the_decoder_sees_images_rounded_to_uint8():
    pair = build_seeded(SMALL.build, 3)
    images = random_images(2, 16, 16)
    with torch.no_grad():
        stamped, logits = pair(images, torch.ones(2, 15))
        rounded = np.rint(255 * stamped.numpy()).astype(np.uint8)
        expected = pair.decoder(torch.from_numpy(rounded).float() / 255)
    torch.testing.assert_close(logits, expected)


def test_small_images_and_another_number_of_bits_are_refused():
    encoder = build_seeded(SMALL.build, 0).encoder
    with pytest.raises(InputError, match="15 x 16 pixels are too small"):
        encoder(torch.zeros(1, 3, 15, 16), torch.zeros(1, 15))
    with pytest.raises(InputError, match="15 bits are hidden"):
        encoder(torch.zeros(1, 3, 16, 16), torch.zeros(1, 14))
