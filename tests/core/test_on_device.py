"""Arrays and constants come onto a device with their values."""

from typing import Any

import numpy as np
import pytest
import torch

from ray_defense.core.on_device import constant, exact_convolutions, upload
from ray_defense.losses.similarity import structural_similarity
from ray_defense.transforms.blur import Blur

CPU = torch.device("cpu")


@pytest.mark.parametrize("array", [np.arange(5), np.zeros((3, 0)), np.array([True, False])])
def test_an_upload_has_the_values_and_the_type_of_the_array(array: np.ndarray) -> None:
    tensor = upload(array, CPU)
    assert tensor.numpy().dtype == array.dtype
    assert np.array_equal(tensor.numpy(), array)


def test_a_constant_is_made_once_for_each_type() -> None:
    values = (0.5, 0.25)
    single = constant(values, torch.float32, CPU)
    assert single.tolist() == list(values)
    assert constant(values, torch.float32, CPU) is single
    assert constant(values, torch.float64, CPU).dtype == torch.float64


def test_exact_convolutions_round_nothing_and_leave_the_settings_as_they_were() -> None:
    before = torch.backends.cudnn.allow_tf32
    with exact_convolutions():
        assert not torch.backends.cudnn.allow_tf32
        assert torch.backends.cudnn.enabled
    assert torch.backends.cudnn.allow_tf32 == before


def test_blur_and_ssim_convolve_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[bool] = []
    convolve = torch.nn.functional.conv2d

    def noted(*arguments: Any, **options: Any) -> torch.Tensor:
        rounds.append(torch.backends.cudnn.allow_tf32)
        return convolve(*arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "conv2d", noted)
    monkeypatch.setattr("ray_defense.losses.similarity.conv2d", noted)
    images_BCHW = torch.rand(2, 3, 16, 16)
    structural_similarity(Blur().apply(images_BCHW, torch.rand(2, 1)), images_BCHW)
    assert rounds == [False] * 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("array", [np.arange(5), np.zeros((3, 0)), np.array([True, False])])
def test_an_upload_to_a_gpu_has_the_values_of_the_array(array: np.ndarray) -> None:
    tensor = upload(array, torch.device("cuda", 0))
    assert tensor.is_cuda
    assert np.array_equal(tensor.cpu().numpy(), array)
