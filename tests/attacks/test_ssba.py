"""SSBA: the message as bits, and what the attack does with its encoder."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ray_defense.attacks.error_correction import decode
from ray_defense.attacks.ssba import Ssba
from ray_defense.core.errors import InputError
from tests.support.assets import Encoder, random_images


class BrighteningEncoder:
    """Adds 0.6, -0.4 and 1.4 gray levels to red, green and blue, whatever the bits."""

    num_bits = 15

    def __call__(self, images_BCHW: torch.Tensor, bits_BL: torch.Tensor) -> torch.Tensor:
        assert bits_BL.shape == (len(images_BCHW), 15)
        assert images_BCHW.min() >= 0
        assert images_BCHW.max() <= 1
        return images_BCHW + torch.tensor([0.6, -0.4, 1.4])[:, None, None] / 255


def test_the_message_becomes_its_ascii_bits_with_checks():
    code = Ssba(message="RD").code
    assert len(code) == 30
    decoded = decode(code[None]).message_NM[0]
    assert "".join(map(str, decoded)) == f"{ord('R'):07b}{ord('D'):07b}"


@pytest.mark.parametrize("message", ["", "ü"])
def test_a_message_that_is_not_ascii_is_refused(message):
    with pytest.raises(InputError, match="ASCII"):
        Ssba(message=message)


def test_stamped_pixels_are_rounded_to_the_nearest_level():
    image = np.full((1, 16, 16, 3), 254, np.uint8)
    stamped = Ssba(message="x").stamp(image, np.array([0]), "train", asset=BrighteningEncoder())
    assert stamped[0, 0, 0].tolist() == [255, 254, 255]


def test_an_encoder_that_cannot_be_called_is_refused():
    image = np.full((1, 16, 16, 3), 254, np.uint8)
    with pytest.raises(InputError, match="must be a function"):
        Ssba(message="x").stamp(image, np.array([0]), "train", asset=SimpleNamespace(num_bits=15))


def test_an_encoder_that_is_missing_or_hides_another_number_of_bits_is_refused():
    images = random_images(0, 1)
    index = np.array([0])
    with pytest.raises(InputError, match="got none"):
        Ssba().stamp(images, index)
    with pytest.raises(InputError, match="has 30 code bits and the encoder hides 15"):
        Ssba().stamp(images, index, "train", asset=Encoder(15))
    with pytest.raises(InputError, match="cannot hold the trigger"):
        Ssba().stamp(images[:, :15], index, "train", asset=Encoder(15))
