"""What detectors read off a batch, with networks whose answers are known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ray_defense.core.errors import InputError
from ray_defense.detectors.fct_draws import FctDraws
from ray_defense.detectors.folds import folds_of
from ray_defense.detectors.label_networks import LabelNetworks, LabelTraining, label_networks
from ray_defense.detectors.local_ascent import LocalAscent
from ray_defense.detectors.required_models import Probe, RequiredModel
from ray_defense.detectors.sample_batch import OpenedModel, SampleBatch
from ray_defense.detectors.symmetric_ce import SymmetricCrossEntropy
from ray_defense.detectors.trigger_gap import TriggerGap
from ray_defense.training.normalization import NORMALIZATIONS
from ray_defense.transforms.flip import Flip

NUM_CLASSES = 3
LABELS = [0, 1, 2, 0, 1]
INDEX = np.array([3, 14, 15, 92, 65])


class FixedLogits(nn.Module):
    """Gives the same logits for every image, and counts its passes."""

    def __init__(self, logits: list[float]):
        super().__init__()
        self.logits = torch.tensor(logits)
        self.num_passes = 0

    def forward(self, view_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.num_passes += 1
        features_BD = view_BCHW.mean(dim=(2, 3))
        return features_BD, self.logits.expand(len(view_BCHW), -1)


class MeanAndEdge(nn.Module):
    """Gives the mean of the left edge as the only feature."""

    def forward(self, view_BCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features_BD = view_BCHW[:, :, :, 0].mean(dim=(1, 2))[:, None]
        return features_BD, torch.cat((features_BD, -features_BD, 0 * features_BD), dim=1)


def batch_with(models: dict[RequiredModel, OpenedModel]) -> SampleBatch:
    generator = torch.Generator().manual_seed(0)
    return SampleBatch(
        images_BCHW=torch.rand(len(LABELS), 3, 8, 8, generator=generator),
        labels_B=torch.tensor(LABELS),
        index_B=INDEX,
        seed=0,
        normalization=NORMALIZATIONS["half"],
        models=models,
    )


def test_a_view_passes_a_model_once_whoever_asks() -> None:
    network = FixedLogits([1.0, 2.0, 3.0])
    batch = batch_with({Probe(): OpenedModel([network])})
    for _ in range(2):
        batch.outputs(Probe())
        batch.outputs(Probe(), (Flip(),), 0)
        batch.outputs(Probe(), (Flip(),), 1)
    assert network.num_passes == 3


def test_alternatives_answer_each_for_itself() -> None:
    networks = [FixedLogits([float(number), 0.0, 0.0]) for number in range(3)]
    batch = batch_with({Probe(): OpenedModel(networks)})
    first = [float(each.logits(Probe())[0, 0]) for each in batch.alternatives(Probe())]
    assert first == [0.0, 1.0, 2.0]
    assert [network.num_passes for network in networks] == [1, 1, 1]


def test_each_sample_is_read_by_the_network_of_its_fold() -> None:
    networks = [FixedLogits([float(fold), 0.0, 0.0]) for fold in range(3)]
    batch = batch_with({Probe(): OpenedModel(networks, fold_key=11)})
    answers = batch.logits(Probe())[:, 0]
    assert answers.tolist() == folds_of(INDEX, 11, 3).tolist()
    mirrored = batch.images_BCHW.flip(3)
    assert torch.equal(batch.view((Flip(),)), NORMALIZATIONS["half"].apply(mirrored))


def test_the_trigger_gap_counts_only_where_the_strong_network_disagrees() -> None:
    detector = TriggerGap()
    plain, strong = detector.models
    batch = batch_with(
        {
            plain: OpenedModel([FixedLogits([2.0, 1.0, 0.0])]),
            strong: OpenedModel([FixedLogits([0.0, 3.0, 0.0])]),  # predicts 1
        }
    )
    columns = detector.read(batch)
    log_plain = [value - math.log(sum(map(math.exp, (2, 1, 0)))) for value in (2, 1, 0)]
    log_strong = [value - math.log(sum(map(math.exp, (0, 3, 0)))) for value in (0, 3, 0)]
    for position, label in enumerate(LABELS):
        gap = log_plain[label] - log_strong[label]
        assert columns["trigger_gap_all"][position] == pytest.approx(gap)
        expected = 0.0 if label == 1 else gap
        assert columns["trigger_gap"][position] == pytest.approx(expected)


@pytest.mark.parametrize("detector", [SymmetricCrossEntropy(), LocalAscent()])
def test_a_label_that_is_learned_too_well_is_suspicious(
    detector: SymmetricCrossEntropy | LocalAscent,
) -> None:
    (network,) = detector.models
    batch = batch_with({network: OpenedModel([FixedLogits([5.0, 0.0, -5.0])])})
    scores = detector.read(batch)[detector.name]
    of_label = [scores[LABELS.index(label)] for label in range(NUM_CLASSES)]
    assert of_label[0] > of_label[1] > of_label[2]


def test_many_draws_are_reduced_to_their_quantile_and_minimum() -> None:
    detector = FctDraws(draws=5, quantile=0.5, num_earlier_blocks=0)
    model = Probe(intra=False)
    batch = batch_with({model: OpenedModel([MeanAndEdge()])})
    with pytest.raises(InputError, match="the network has 0 residual blocks: set it lower"):
        detector.read(batch)
    distances = batch.distances(model, detector.tau, 5)
    assert distances.shape == (5, len(LABELS))
    clean = batch.outputs(model).features_BD
    for draw in range(5):
        moved = batch.outputs(model, detector.tau, draw).features_BD
        expected = ((clean - moved).double() ** 2).sum(dim=1)
        np.testing.assert_allclose(distances[draw], expected.numpy(), rtol=1e-6)


def test_networks_of_equal_settings_are_one_requirement() -> None:
    settings = LabelNetworks(LabelTraining())
    assert label_networks("labels", settings) == label_networks("labels", settings)
    assert label_networks("labels", settings) != label_networks("others", settings)
