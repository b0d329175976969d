"""ANP's masks against plain loops: what a neuron computes, the worst change, what is pruned."""

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call

from ray_defense.defenses.neuron_masks import (
    masked_parameters,
    norms_of,
    prune_neurons,
    worst_change,
)


def small_network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3))
    network = network.double().eval()
    for norm in norms_of(network).values():
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    return network


def random_pair(seed: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = scale * (2 * torch.rand(2, 3, generator=generator, dtype=torch.float64) - 1)
    return drawn[0], drawn[1]


def test_a_changed_neuron_has_mask_plus_delta_times_its_weight_and_one_plus_xi_times_its_bias():
    network = small_network()
    norms = norms_of(network)
    masks = [torch.tensor([1.0, 0.5, 0.0]).double(), torch.tensor([0.2, 1.0, 0.7]).double()]
    change = [random_pair(1, 0.4), random_pair(2, 0.4)]
    parameters = masked_parameters(norms, masks, change)
    images = torch.randn(2, 2, 2, 2, dtype=torch.float64)
    given = functional_call(network, parameters, (images,))

    values = network[0](images).tolist()
    for layer, (position, norm) in enumerate(((1, norms["1"]), (3, norms["3"]))):
        delta, xi = change[layer]
        for image in values:
            for neuron, rows in enumerate(image):
                weight = norm.weight[neuron].item()
                weight *= masks[layer][neuron].item() + delta[neuron].item()
                bias = norm.bias[neuron].item() * (1 + xi[neuron].item())
                mean = norm.running_mean[neuron].item()
                deviation = math.sqrt(norm.running_var[neuron].item() + norm.eps)
                for row in rows:
                    for column, value in enumerate(row):
                        row[column] = weight * (value - mean) / deviation + bias
                        if position == 1:
                            row[column] = max(0.0, row[column])
    assert torch.allclose(given, torch.tensor(values, dtype=torch.float64), atol=1e-10)
    unchanged = masked_parameters(norms, masks)
    zero = [(torch.zeros(3).double(), torch.zeros(3).double())] * 2
    for name, value in masked_parameters(norms, masks, zero).items():
        assert torch.equal(unchanged[name], value)


@pytest.mark.parametrize("steps", [1, 4])
def test_the_worst_change_goes_by_signs_and_stays_within_epsilon(steps: int):
    epsilon = 0.4
    target = [random_pair(3, 1.0), random_pair(4, 1.0)]

    def gradient_of(change):
        gradients = []
        for pair, goal in zip(change, target, strict=True):
            for value, aim in zip(pair, goal, strict=True):
                gradients.append(aim - value)
        return gradients

    start = [random_pair(5, epsilon), random_pair(6, epsilon)]
    found = worst_change(start, gradient_of, epsilon, steps)
    for layer in range(2):
        for which in range(2):
            for neuron in range(3):
                value = start[layer][which][neuron].item()
                aim = target[layer][which][neuron].item()
                for _ in range(steps):
                    value += epsilon / steps * (1 if aim > value else -1)
                    value = max(-epsilon, min(epsilon, value))
                assert found[layer][which][neuron].item() == pytest.approx(value, abs=1e-12)


def test_pruning_silences_the_weights_below_the_threshold_and_no_others():
    network = small_network()
    before = [norm.weight.clone() for norm in norms_of(network).values()]
    biases = [norm.bias.clone() for norm in norms_of(network).values()]
    masks = [torch.tensor([0.1, 0.2, 0.9]), torch.tensor([0.0, 1.0, 0.19])]
    assert prune_neurons(network, masks, 0.2) == 3
    for norm, weight, bias, mask in zip(
        norms_of(network).values(), before, biases, masks, strict=True
    ):
        for neuron in range(3):
            expected = 0.0 if mask[neuron] < 0.2 else weight[neuron].item()
            assert norm.weight[neuron].item() == expected
        assert torch.equal(norm.bias, bias)
