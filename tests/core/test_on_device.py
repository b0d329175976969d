"""Arrays and constants come onto a device with their values."""

import numpy as np
import pytest
import torch

from ray_defense.core.on_device import constant, upload

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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("array", [np.arange(5), np.zeros((3, 0)), np.array([True, False])])
def test_an_upload_to_a_gpu_has_the_values_of_the_array(array: np.ndarray) -> None:
    tensor = upload(array, torch.device("cuda", 0))
    assert tensor.is_cuda
    assert np.array_equal(tensor.cpu().numpy(), array)
