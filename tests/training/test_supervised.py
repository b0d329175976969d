"""One epoch of training is SGD by hand, and measuring accuracy changes nothing."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ray_defense.training.settings import Sgd
from ray_defense.training.supervised import measure_accuracy, train_epoch
from tests.support.small_training import half_view, make_batches, make_net, make_worker


def double_view(images: torch.Tensor, index: np.ndarray) -> torch.Tensor:
    return half_view(images, index).double()


def test_an_epoch_is_a_sgd_step_for_each_batch(tmp_path):
    """Parity: momentum SGD with weight decay, by hand, in float64."""
    net = make_net().double()
    optimizer = Sgd(0.1, momentum=0.9, weight_decay=0.01).build(net.parameters())
    metrics = train_epoch(
        make_worker(tmp_path),
        net,
        optimizer,
        batches=make_batches(),
        view=double_view,
        loss=cross_entropy,
    )

    by_hand = make_net().double()
    parameters = list(by_hand.parameters())
    velocities = [torch.zeros_like(parameter) for parameter in parameters]
    losses = []
    is_right = []
    for batch in make_batches():
        images = batch.images.permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.5)
        _, logits_BN = by_hand(images.double())
        log_likelihoods = []
        for row, label in zip(logits_BN, batch.labels, strict=True):
            log_likelihoods.append(row.log_softmax(0)[label])
        loss = -torch.stack(log_likelihoods).mean()
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
            velocity.mul_(0.9).add_(gradient + 0.01 * parameter.detach())
            parameter.data.sub_(0.1 * velocity)
        losses.append(loss.item())
        is_right.extend((logits_BN.argmax(1) == batch.labels).tolist())

    for trained, expected in zip(net.parameters(), parameters, strict=True):
        assert torch.allclose(trained, expected, atol=1e-7)
    expected_metrics = {"loss": np.mean(losses), "accuracy": np.mean(is_right)}
    assert metrics == pytest.approx(expected_metrics, abs=1e-6)


def test_accuracy_is_measured_in_eval_mode_and_changes_nothing(tmp_path):
    net = make_net()
    batches = make_batches()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    accuracy = measure_accuracy(make_worker(tmp_path), net, batches, half_view)
    for name, value in net.state_dict().items():
        assert torch.equal(before[name], value)
    assert not net.training
    is_right = []
    for batch in batches:
        _, logits = net(half_view(batch.images, batch.index.numpy()))
        is_right.append(logits.argmax(1) == batch.labels)
    assert accuracy == pytest.approx(torch.cat(is_right).float().mean().item())
