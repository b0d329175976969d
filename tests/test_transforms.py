"""Transforms: laws over the registry, and parity with torchvision or with the rule written as loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as tv

from ray_defense.core.config import fingerprint
from ray_defense.core.errors import Refused
from ray_defense.core.random import stream, uniform
from ray_defense.transforms import AUGMENTATIONS, TRANSFORMS, Affine, Blur, Crop, Erase, Flip, Rotate, apply_all
from ray_defense.transforms.draws import whole

EVERY = {**TRANSFORMS, **AUGMENTATIONS}
transforms = pytest.mark.parametrize("transform", [kind() for kind in EVERY.values()], ids=list(EVERY))
SIZES = [(32, 32), (28, 28), (8, 8), (20, 33), (5, 3), (1, 1)]


def random_images(seed: int, batch: int, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((batch, 3, height, width), dtype=np.float32))


def random_draws(seed: int, batch: int, transform) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((batch, transform.num_draws), dtype=np.float32))


@pytest.mark.parametrize("registry", [TRANSFORMS, AUGMENTATIONS])
def test_the_registry_name_is_the_units_name_and_no_two_share_a_fingerprint(registry):
    assert all(kind.name == name for name, kind in registry.items())
    assert len({fingerprint(kind()) for kind in registry.values()}) == len(registry)


@transforms
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), batch=st.integers(0, 5), size=st.sampled_from(SIZES))
def test_a_result_keeps_shape_and_range_and_its_input_is_untouched(transform, seed, batch, size):
    images, draws = random_images(seed, batch, *size), random_draws(seed + 1, batch, transform)
    before = images.clone(), draws.clone()
    result = transform.apply(images, draws)
    assert result.shape == images.shape and result.dtype == images.dtype
    assert batch == 0 or (result.min() >= 0 and result.max() <= 1 + 1e-6)
    assert torch.equal(images, before[0]) and torch.equal(draws, before[1])


@transforms
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), size=st.sampled_from(SIZES))
def test_an_image_is_transformed_alike_in_any_batch_and_memory_layout(transform, seed, size):
    images, draws = random_images(seed, 6, *size), random_draws(seed + 1, 6, transform)
    together = transform.apply(images, draws)
    order = torch.tensor([4, 0, 5])
    assert torch.allclose(transform.apply(images[order], draws[order]), together[order], atol=1e-6, rtol=0)
    for i in range(6):
        assert torch.allclose(transform.apply(images[i : i + 1], draws[i : i + 1])[0], together[i], atol=1e-6, rtol=0)
    channels_last = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.allclose(transform.apply(channels_last, draws), together, atol=1e-6, rtol=0)


@transforms
@pytest.mark.parametrize("draw", [0.0, 1.0 - 2**-24, 1.0])
def test_extreme_draws_are_within_bounds(transform, draw):
    # A float64 draw just below 1 becomes 1 in float32.
    images = random_images(0, 2)
    result = transform.apply(images, torch.full((2, transform.num_draws), draw))
    assert result.shape == images.shape and result.isfinite().all()


@transforms
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_images_up_to_rounding(transform):
    images, draws = random_images(0, 16), random_draws(1, 16, transform)
    on_gpu = transform.apply(images.cuda(), draws.cuda())
    assert on_gpu.is_cuda
    close = (on_gpu.cpu() - transform.apply(images, draws)).abs() < 1e-4
    assert close.float().mean() > 0.999  # a tie of the nearest pixel may fall either way


@settings(max_examples=20, deadline=None)
@given(draw=st.floats(0, 1), count=st.integers(1, 40))
def test_a_whole_draw_stays_below_its_count(draw, count):
    value = int(whole(torch.tensor([draw]), count)[0])
    assert 0 <= value < count
    assert value == int(whole(torch.tensor([draw]), torch.tensor([count]))[0])


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("size", [(32, 32), (20, 33), (7, 9)])
def test_rotate_is_torchvisions_rotate(size, interpolation):
    images, rotate = random_images(1, 24, *size), Rotate(interpolation=interpolation)
    draws = random_draws(2, 24, rotate)
    result = rotate.apply(images, draws)
    mode = tv.InterpolationMode(interpolation)
    angles = [-180 + 360 * float(draw) for draw in draws[:, 0]]
    turned = [tv.rotate(image, angle, interpolation=mode) for image, angle in zip(images, angles, strict=True)]
    expected = torch.stack(turned)
    close = (result - expected).abs() < 1e-4
    assert close.float().mean() > 0.9995  # a tie of the nearest pixel may fall either way


def test_rotate_by_a_quarter_turn_moves_every_pixel_to_its_place():
    images = random_images(3, 2)
    for draw, turns in ((0.5, 0), (0.75, 1), (0.0, 2), (0.25, 3)):
        result = Rotate().apply(images, torch.full((2, 1), draw))
        assert torch.equal(result, torch.rot90(images, turns, dims=(2, 3)))


@pytest.mark.parametrize("size", [(32, 32), (9, 14)])
def test_affine_shifts_by_whole_pixels_and_fills_with_black(size):
    images, affine = random_images(4, 40, *size), Affine()
    draws = random_draws(5, 40, affine)
    result = affine.apply(images, draws)
    reach = [math.floor(0.2 * side) for side in size]
    for image, shifted, draw in zip(images, result, draws, strict=True):
        down = reach[0] - int(draw[0] * (2 * reach[0] + 1))
        right = reach[1] - int(draw[1] * (2 * reach[1] + 1))
        for row in range(size[0]):
            for column in range(size[1]):
                inside = 0 <= row - down < size[0] and 0 <= column - right < size[1]
                expected = image[:, row - down, column - right] if inside else torch.zeros(3)
                assert torch.equal(shifted[:, row, column], expected)


def test_affine_reaches_every_shift_up_to_a_fifth_of_the_side_about_equally_often():
    image = torch.zeros(4000, 1, 32, 32)
    image[:, :, 16, 16] = 1
    draws = random_draws(6, 4000, Affine())
    places = Affine().apply(image, draws)[:, 0].nonzero()
    for axis in (1, 2):
        shifts, counts = (places[:, axis] - 16).unique(return_counts=True)
        assert shifts.tolist() == list(range(-6, 7))
        assert counts.min() > 0.75 * 4000 / 13 and counts.max() < 1.25 * 4000 / 13


def test_crop_cuts_a_window_out_of_the_image_padded_by_an_eighth():
    images, crop = random_images(7, 30), Crop()
    draws = random_draws(8, 30, crop)
    result = crop.apply(images, draws)
    for image, cropped, draw in zip(images, result, draws, strict=True):
        padded = tv.pad(image, [4, 4, 4, 4])
        assert torch.equal(cropped, tv.crop(padded, int(draw[0] * 9), int(draw[1] * 9), 32, 32))


def test_flip_mirrors_columns_and_twice_is_nothing():
    images = random_images(9, 3)
    flipped = apply_all([Flip()], images, 1, np.arange(3))
    assert torch.equal(flipped[:, :, :, 0], images[:, :, :, 31])
    assert torch.equal(apply_all([Flip(), Flip()], images, 1, np.arange(3)), images)


KERNELS = [((32, 32), (15, 15)), ((9, 12), (15, 15)), ((5, 32), (15, 9)), ((1, 4), (7, 1))]  # torchvision: x before y


@pytest.mark.parametrize(("size", "kernel"), KERNELS)
def test_blur_is_torchvisions_gaussian_blur(size, kernel):
    images, blur = random_images(10, 12, *size), Blur()
    draws = random_draws(11, 12, blur)
    result = blur.apply(images, draws)
    for image, blurred, draw in zip(images, result, draws[:, 0], strict=True):
        sigma = 0.1 + 1.9 * float(draw)
        torch.testing.assert_close(blurred, tv.gaussian_blur(image, list(kernel), [sigma, sigma]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (30, 60)])
def test_erase_blackens_one_rectangle_of_a_fifth_to_three_tenths(size):
    images = torch.ones(200, 1, *size)
    black = Erase().apply(images, random_draws(12, 200, Erase()))[:, 0] == 0
    tops = set()
    for mask in black:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        height, width = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
        assert int(mask.sum()) == height * width
        slack = (height + width) / 2 / (size[0] * size[1])  # half a pixel of rounding on each side
        assert 0.2 - slack <= height * width / (size[0] * size[1]) <= 0.3 + slack
        ratio = (height / size[0]) / (width / size[1])
        assert 0.5 * (1 - 2 / width) <= ratio <= 1 + 2 / width
        tops.add(int(rows[0]))
    assert min(tops) == 0 and len(tops) > 10


@settings(max_examples=15, deadline=None)
@given(
    key=st.integers(0, 2**64 - 1),
    names=st.lists(st.sampled_from(sorted(EVERY)), max_size=3),
    order=st.permutations(range(5)),
)
def test_apply_all_depends_on_key_and_index_alone(key, names, order):
    kinds = [EVERY[name]() for name in names]
    images, index = random_images(13, 5, 16, 16), np.array([0, 7, 1_000_003, 2, 50])
    together = apply_all(kinds, images, key, index)
    assert torch.equal(apply_all(kinds, images, key, index), together)
    torch.testing.assert_close(apply_all(kinds, images[order], key, index[order]), together[order], atol=1e-5, rtol=0)


def test_apply_all_draws_from_the_stream_of_place_and_name():
    images, index = random_images(14, 4), np.array([3, 1, 4, 1])
    expected = images
    for place, transform in enumerate((Rotate(), Rotate())):
        draws = torch.from_numpy(uniform(stream(5, place, "rotate"), index, 1)).float()
        expected = transform.apply(expected, draws)
    assert torch.equal(apply_all([Rotate(), Rotate()], images, 5, index), expected)
    assert not torch.equal(apply_all([Crop(), Crop()], images, 5, index), apply_all([Crop()], images, 5, index))
    assert not torch.equal(apply_all([Rotate()], images, 5, index), apply_all([Rotate()], images, 6, index))
    assert apply_all([], images, 5, index) is images


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rotate(degrees=200),
        lambda: Affine(translate_fraction=1.5),
        lambda: Crop(pad_fraction=-0.1),
        lambda: Blur(kernel_px=14),
        lambda: Blur(min_sigma=3.0),
        lambda: Erase(min_area_fraction=0.5),
        lambda: Erase(max_ratio=9.0),
        lambda: AUGMENTATIONS["contrastive"](hue=0.7),
        lambda: AUGMENTATIONS["crop_flip"](flip_fraction=2),
    ],
)
def test_a_parameter_out_of_range_is_refused(make):
    with pytest.raises(Refused):
        make()
