"""The digits of scikit-learn as a source."""

import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources.digits import Digits


def test_digits_split_every_image_once_and_stay_gray():
    digits = Digits(size=16, test_fraction=0.25)
    train = digits.read("train", 0, 2000)
    test = digits.read("test", 0, 2000)
    assert len(test.index) == 449
    assert len(train.index) == 1797 - 449
    assert len({*train.origin, *test.origin}) == 1797
    assert (train.images == train.images[..., :1]).all()
    assert train.images.max() == 255
    assert Digits(test_fraction=0.0).labels("test").shape == (0,)


def test_digits_of_an_impossible_fraction_are_refused():
    with pytest.raises(InputError, match="test_fraction"):
        Digits(test_fraction=1.5)
