"""Laws of every transform and augmentation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ray_defense.core.config import fingerprint
from ray_defense.core.errors import InputError
from ray_defense.transforms import AUGMENTATIONS, TRANSFORMS
from tests.support.import_cost import heavy_imports_of_units
from tests.support.transform_inputs import random_draws, random_images

ALL_UNITS = {**TRANSFORMS, **AUGMENTATIONS}
SIZES = [(32, 32), (28, 28), (8, 8), (20, 33), (5, 3), (1, 1)]


@pytest.fixture(scope="module", params=ALL_UNITS)
def transform(request):
    return ALL_UNITS[request.param]()


@pytest.mark.parametrize("registry", [TRANSFORMS, AUGMENTATIONS])
def test_the_registry_name_is_the_units_name_and_no_two_share_a_fingerprint(registry):
    fingerprints = set()
    for name, unit in registry.items():
        assert unit.name == name
        fingerprints.add(fingerprint(unit()))
    assert len(fingerprints) == len(registry)


@pytest.mark.parametrize("registry", ["TRANSFORMS", "AUGMENTATIONS"])
def test_a_configuration_imports_no_heavy_package(registry):
    assert heavy_imports_of_units("ray_defense.transforms", registry) == []


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), batch=st.integers(0, 5), size=st.sampled_from(SIZES))
def test_a_result_keeps_shape_and_range_and_its_input_is_untouched(transform, seed, batch, size):
    images = random_images(seed, batch, *size)
    draws = random_draws(seed + 1, batch, transform.num_draws)
    images_before = images.clone()
    draws_before = draws.clone()
    result = transform.apply(images, draws)
    assert result.shape == images.shape
    assert result.dtype == images.dtype
    if batch > 0:
        assert result.min() >= 0
        assert result.max() <= 1 + 1e-6
    assert torch.equal(images, images_before)
    assert torch.equal(draws, draws_before)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), size=st.sampled_from(SIZES))
def test_an_image_is_transformed_alike_in_any_batch_and_memory_layout(transform, seed, size):
    images = random_images(seed, 6, *size)
    draws = random_draws(seed + 1, 6, transform.num_draws)
    together = transform.apply(images, draws)
    order = torch.tensor([4, 0, 5])
    reordered = transform.apply(images[order], draws[order])
    assert torch.allclose(reordered, together[order], atol=1e-6, rtol=0)
    for i in range(6):
        alone = transform.apply(images[i : i + 1], draws[i : i + 1])[0]
        assert torch.allclose(alone, together[i], atol=1e-6, rtol=0)
    channels_last = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.allclose(transform.apply(channels_last, draws), together, atol=1e-6, rtol=0)


@pytest.mark.parametrize("draw", [0.0, 1.0 - 2**-24, 1.0])
def test_extreme_draws_are_within_bounds(transform, draw):
    # A float64 draw just below 1 becomes 1 in float32.
    images = random_images(0, 2)
    result = transform.apply(images, torch.full((2, transform.num_draws), draw))
    assert result.shape == images.shape
    assert result.isfinite().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_images_up_to_rounding(transform):
    images = random_images(0, 16)
    draws = random_draws(1, 16, transform.num_draws)
    on_gpu = transform.apply(images.cuda(), draws.cuda())
    assert on_gpu.is_cuda
    close = (on_gpu.cpu() - transform.apply(images, draws)).abs() < 1e-4
    assert close.float().mean() > 0.999  # a tie of the nearest pixel may fall either way


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("rotate", {"degrees": 200}),
        ("affine", {"translate_fraction": 1.5}),
        ("crop", {"pad_fraction": -0.1}),
        ("blur", {"kernel_px": 14}),
        ("blur", {"min_sigma": 3.0}),
        ("erase", {"min_area_fraction": 0.5}),
        ("erase", {"max_ratio": 9.0}),
        ("contrastive", {"hue": 0.7}),
        ("crop_flip", {"flip_fraction": 2}),
    ],
)
def test_a_parameter_out_of_range_is_refused(name, parameters):
    with pytest.raises(InputError):
        ALL_UNITS[name](**parameters)
