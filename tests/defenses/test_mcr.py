"""MCR: the curve and its batch statistics by plain loops, and the point that is kept."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ray_defense.defenses.bezier_curve import point_of_curve, recompute_batch_statistics
from ray_defense.models.seeded import build_model
from tests.support.defended_noise import (
    BACKDOORED_SEED,
    CURVED,
    MODEL,
    NUM_CLASSES,
    changed_modules,
    weights_of,
)


def linear(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(3, 2).double()


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 1.0])
def test_a_point_of_the_curve_is_the_bezier_sum_of_each_weight(t: float):
    start = linear(0)
    bend = linear(1)
    end = linear(2)
    point = point_of_curve(start, bend, end, t)
    for row in range(2):
        for column in range(3):
            expected = (1 - t) ** 2 * start.weight[row, column].item()
            expected += 2 * t * (1 - t) * bend.weight[row, column].item()
            expected += t**2 * end.weight[row, column].item()
            assert point["weight"][row, column].item() == pytest.approx(expected, abs=1e-12)
    point["bias"].sum().backward()
    assert bend.bias.grad.tolist() == pytest.approx([2 * t * (1 - t)] * 2)
    assert start.bias.grad is None
    assert end.bias.grad is None


def test_batch_statistics_are_means_over_batches_weighted_by_their_size():
    norm = nn.BatchNorm2d(2).double()
    norm.running_mean.fill_(7.0)
    generator = torch.Generator().manual_seed(0)
    batches = []
    for size in (4, 4, 2):
        batches.append(torch.randn(size, 2, 3, 3, generator=generator, dtype=torch.float64))
    recompute_batch_statistics(nn.Sequential(norm), batches)
    for channel in range(2):
        mean = 0.0
        variance = 0.0
        for batch in batches:
            values = batch[:, channel].flatten().tolist()
            of_batch = sum(values) / len(values)
            squares = sum((value - of_batch) ** 2 for value in values)
            mean += len(batch) / 10 * of_batch
            variance += len(batch) / 10 * squares / (len(values) - 1)
        assert norm.running_mean[channel].item() == pytest.approx(mean, abs=1e-12)
        assert norm.running_var[channel].item() == pytest.approx(variance, rel=1e-12)
    assert norm.momentum == 0.1
    assert not norm.training


def test_at_the_start_of_the_curve_stands_the_backdoored_model_with_other_statistics(noise):
    trained = weights_of(noise.train(replace(CURVED, position=0.0)))
    backdoored = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED).state_dict()
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    for name, value in backdoored.items():
        if name.endswith(statistics):
            assert not torch.equal(trained[name], value), name
        else:
            assert torch.allclose(trained[name], value, atol=1e-6), name


def test_the_bend_is_trained_and_matters_between_the_ends_alone(noise, tmp_path):
    weights = {}
    for position in (0.3, 1.0):
        for epochs in (1, 2):
            defense = replace(CURVED, position=position, curve_epochs=epochs)
            store = noise.in_store(tmp_path / f"{position}-{epochs}")
            weights[position, epochs] = weights_of(store.train(defense))
    assert changed_modules(weights[0.3, 1], weights[0.3, 2]) != set()
    assert changed_modules(weights[1.0, 1], weights[1.0, 2]) == set()
