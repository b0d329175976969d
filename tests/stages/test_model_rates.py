"""ACC and ASR: what is counted over a test set, and the rates and intervals of these counts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.badnets_all2all import BadNetsAllToAll
from ray_defense.attacks.protocol import Attack
from ray_defense.attacks.targets import AllToOne
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.protocol import Source
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import save_weights
from ray_defense.stages.attacker.prepared_attack import PreparedAttack
from ray_defense.stages.model_rates import (
    Measurement,
    TestCounts,
    clopper_pearson,
    measure_model,
    model_rates,
    rates_of_counts,
)
from tests.support.noise import write_noise
from tests.support.steps import HALF

MODEL = SmallResNet(width=8)
DIGITS = Digits(size=16)


def measure(
    *weights: Path, attack: Attack | None, source: Source = DIGITS, batch_size: int = 100
) -> list[TestCounts]:
    measurement = Measurement(
        network=MODEL,
        weights=weights,
        source=source,
        num_classes=10,
        attack=None if attack is None else PreparedAttack(attack),
        normalization=HALF,
        batch_size=batch_size,
        num_threads=1,
    )
    return measure_model(measurement)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),  # the table of Clopper and Pearson (1934), four digits
        (10, 10, 0.6915, 1.0),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (0, 1, 0.0, 0.975),
    ],
)
def test_the_interval_is_clopper_and_pearsons(successes, trials, low, high):
    assert clopper_pearson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_what_was_not_counted_has_no_rate():
    nothing = rates_of_counts(TestCounts())
    for name in ("acc", "asr", "robust_acc", "acc_interval", "asr_interval", "acc_target_excluded"):
        assert nothing[name] is None
    assert nothing["num_clean"] == 0
    assert nothing["num_triggered"] == 0
    clean_only = rates_of_counts(TestCounts(num_clean=4, num_right=3))
    assert clean_only["acc"] == 0.75
    assert clean_only["asr"] is None
    assert clean_only["asr_interval"] is None


def test_rates_are_shares_of_what_was_counted():
    counts = TestCounts(
        num_clean=100,
        num_right=90,
        num_right_outside_target=72,
        num_triggered=80,
        num_hit=8,
        num_triggered_right=60,
    )
    rates = rates_of_counts(counts)
    assert rates["acc"] == 0.9
    assert rates["acc_target_excluded"] == 0.9
    assert rates["asr"] == 0.1
    assert rates["acc_interval"] == clopper_pearson(90, 100)
    assert rates["asr_interval"] == clopper_pearson(8, 80)
    assert rates["robust_acc"] == 0.75
    assert rates["robust_acc_interval"] == clopper_pearson(60, 80)


def test_the_rates_of_rounds_stand_beside_those_of_the_kept_model():
    kept = TestCounts(num_clean=4, num_right=3, num_triggered=2, num_hit=1)
    first = TestCounts(num_clean=4, num_right=1, num_triggered=2, num_hit=2)
    rates = model_rates([kept, first, kept])
    assert rates["acc"] == 0.75
    assert rates["rounds"] == [{"acc": 0.25, "asr": 1.0}, {"acc": 0.75, "asr": 0.5}]
    assert model_rates([kept])["rounds"] is None
    assert model_rates([kept])["relapse"] is None
    relapsed = model_rates([kept, first, kept], has_relapse=True)
    assert relapsed["relapse"] == {"acc": 0.75, "asr": 0.5, "robust_acc": 0.0}
    assert relapsed["rounds"] == [{"acc": 0.25, "asr": 1.0}]
    assert model_rates([TestCounts(), TestCounts()])["rounds"] is None


@pytest.fixture(scope="module")
def always_0(tmp_path_factory) -> Path:
    """Weights of a model that takes everything for class 0."""
    model = build_model(MODEL, 10, 0)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([1.0] + [0.0] * 9))
    path = tmp_path_factory.mktemp("weights") / "always_0.safetensors"
    save_weights(path, model)
    return path


@pytest.mark.parametrize(
    ("attack", "is_victim", "wanted"),
    [
        (None, lambda labels: labels < 0, lambda labels: labels),
        (BadNets(AllToOne(0)), lambda labels: labels != 0, lambda labels: 0 * labels),
        (BadNets(AllToOne(3)), lambda labels: labels != 3, lambda labels: 0 * labels + 3),
        (BadNetsAllToAll(), lambda labels: labels >= 0, lambda labels: (labels + 1) % 10),
    ],
)
def test_a_model_that_always_says_0_is_right_and_fooled_where_0_is_wanted(
    always_0, attack, is_victim, wanted
):
    labels = DIGITS.labels("test")
    victims = is_victim(labels)
    expected = TestCounts(
        num_clean=len(labels),
        num_right=int((labels == 0).sum()),
        num_right_outside_target=int((labels[victims] == 0).sum()),
        num_triggered=int(victims.sum()),
        num_hit=int((wanted(labels)[victims] == 0).sum()),
        num_triggered_right=int((labels[victims] == 0).sum()),
        num_rejected=0,
    )
    assert measure(always_0, always_0, attack=attack) == [expected, expected]


def test_the_counts_of_any_model_are_those_of_one_image_at_a_time(tmp_path):
    path = tmp_path / "random.safetensors"
    model = build_model(MODEL, 10, 3).eval()
    save_weights(path, model)
    (counts,) = measure(path, attack=BadNets(), batch_size=64)
    batch = DIGITS.read("test", 0, 10_000)
    num_right = 0
    num_hit = 0
    num_triggered_right = 0
    for image, label, index in zip(batch.images, batch.labels, batch.index, strict=True):
        stamped = BadNets().stamp(image[None], np.array([index]), phase="test")[0]
        both = torch.from_numpy(np.stack((image, stamped))).permute(0, 3, 1, 2) / 255
        with torch.no_grad():
            _, logits = model((both - 0.5) / 0.5)
        of_clean, of_stamped = logits.argmax(1).tolist()
        num_right += of_clean == label
        num_hit += label != 0 and of_stamped == 0
        num_triggered_right += label != 0 and of_stamped == label
    assert counts.num_right == num_right
    assert counts.num_hit == num_hit
    assert counts.num_triggered_right == num_triggered_right > 0


def test_without_a_test_set_nothing_is_counted(tmp_path, always_0):
    source = write_noise(tmp_path / "train.parquet", count=30)
    assert measure(always_0, attack=BadNets(), source=source) == [TestCounts()]
