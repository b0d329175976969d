"""The SSBA encoder: the bits of a trained one come back from uint8, and its training resumes."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.attacks.error_correction import decode, encode
from ray_defense.attacks.ssba import Ssba
from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.core.random import stream, uniform
from ray_defense.data.sources.digits import Digits
from ray_defense.data.training_set import TrainingSet
from ray_defense.execution.steps import Step
from ray_defense.models.weights import load_weights
from ray_defense.stages.attacker import ssba_encoder_training
from ray_defense.stages.attacker.prepared_attack import AttackAsset
from ray_defense.stages.attacker.ssba_encoder import ssba_encoder_asset, ssba_encoder_step
from ray_defense.stages.attacker.ssba_encoder_training import (
    MessageEncoder,
    divide_samples,
    measure_hiding,
)
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.store.artifacts import Store
from tests.support.assets import random_images
from tests.support.killed import KilledAndResumed
from tests.support.ssba import TINY, build_pair
from tests.support.steps import CPU, make_step, plan_context

RESIDENT_BYTES = 1 << 30


@given(
    seed=st.integers(0, 2**16),
    count=st.integers(0, 4),
    size=st.sampled_from([(16, 16), (17, 23), (32, 32)]),
)
def test_stamping_alone_or_in_a_batch_gives_the_same_bits(seed, count, size):
    hide = MessageEncoder.of(build_pair(seed).encoder)
    attack = Ssba(message="x")
    images = random_images(seed, count, *size)
    index = np.arange(count)
    before = images.copy()
    stamped = attack.stamp(images, index, "train", asset=hide)
    assert stamped.dtype == np.uint8
    assert stamped.shape == images.shape
    assert not np.shares_memory(stamped, images)
    np.testing.assert_array_equal(images, before)
    for phase in ("cover", "test"):
        for i in range(count):
            alone = attack.stamp(images[i : i + 1], index[i : i + 1], phase, asset=hide)
            np.testing.assert_array_equal(alone[0], stamped[i])


def test_an_encoder_that_hides_another_number_of_bits_or_a_small_image_is_refused():
    hide = MessageEncoder.of(build_pair().encoder)
    images = random_images(0, 1)
    index = np.array([0])
    with pytest.raises(InputError, match="has 30 code bits and the encoder hides 15"):
        Ssba().stamp(images, index, "train", asset=hide)
    with pytest.raises(InputError, match="cannot hold the trigger"):
        Ssba().stamp(images[:, :15], index, "train", asset=hide)


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder of 15 bits trained for seconds on digits of 16 x 16 pixels."""

    context: PlanContext
    clean: Step
    asset: AttackAsset


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> TrainedEncoder:
    context = plan_context(tmp_path_factory.mktemp("encoder"))
    clean = ingest_step(IngestConfig(), Digits(size=16), context)
    artifact = make_step(ssba_encoder_step(TINY, clean, context), context)
    return TrainedEncoder(context, clean, ssba_encoder_asset(artifact, TINY))


def read_bits(decoder: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """Returns bool [N, L]: the bits that the decoder reads off uint8 images."""
    with torch.no_grad():
        logits = decoder(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    return (logits > 0).numpy()


def test_the_bits_that_an_attack_hides_come_back_from_uint8(trained):
    images = Digits(size=16).read("test", 0, 200).images
    attack = Ssba(message="k")
    stamped = attack.stamp(images, np.arange(200), "test", asset=trained.asset.load())
    decoder = build_pair().decoder
    load_weights(trained.asset.artifact.path / "decoder.safetensors", decoder)
    received = read_bits(decoder, stamped)
    assert (received == attack.code).mean() > 0.95
    assert (read_bits(decoder, images) == attack.code).mean() < 0.8
    message = decode(attack.code[None]).message_NM
    assert (decode(received).message_NM == message).all(axis=1).mean() > 0.9


def test_the_metrics_say_how_visible_and_how_readable_unseen_images_are(trained):
    metrics = read_json(trained.asset.artifact.path / "metrics.json")
    assert len(metrics["history"]) == TINY.epochs
    assert metrics["num_measured"] == 71  # 5 % of 1,438
    assert metrics["bit_accuracy"] > 0.95
    assert metrics["message_accuracy"] >= metrics["bit_accuracy"] - 0.2
    assert bool(metrics["notes"]) is (metrics["bit_accuracy"] < 0.99)


def test_the_metrics_are_their_definitions_over_the_same_images(trained):
    metrics = read_json(trained.asset.artifact.path / "metrics.json")
    hide = trained.asset.load()
    _, unseen = divide_samples(np.arange(1438))
    held = TrainingSet(trained.clean.artifact.path, CPU, "numpy", RESIDENT_BYTES, unseen)
    measured_key = stream(0, "encoder", "measured")
    again = measure_hiding(hide, build_pair().decoder, held, measured_key)
    assert again["psnr"] == pytest.approx(metrics["psnr"])
    assert again["ssim"] == pytest.approx(metrics["ssim"])
    (batch,) = held.epoch(0, 71)
    key = stream(measured_key, "message")
    message = (uniform(key, batch.index.numpy(), 7) < 0.5).astype(int)
    images = batch.images.permute(0, 3, 1, 2).double() / 255
    hidden = (255 * hide(images, torch.from_numpy(encode(message)))).round() / 255
    errors = (hidden - images).square().mean((1, 2, 3)).numpy()
    assert metrics["psnr"] == pytest.approx(np.mean(-10 * np.log10(errors)), abs=1e-3)


def test_a_loaded_encoder_travels_and_stays_the_same(trained):
    images = random_images(1, 3, 20, width=20)
    index = np.arange(3)
    travelled = pickle.loads(pickle.dumps(trained.asset.load))
    here = Ssba(message="k").stamp(images, index, "train", asset=trained.asset.load())
    there = Ssba(message="k").stamp(images, index, "train", asset=travelled())
    np.testing.assert_array_equal(there, here)


def test_the_last_twentieth_is_measured_and_not_trained_on():
    index = 3 * np.arange(1000)
    seen, unseen = divide_samples(index)
    assert unseen.tolist() == index[950:].tolist()
    assert seen.tolist() == index[:950].tolist()
    assert len(divide_samples(np.arange(50_000))[1]) == 500
    assert len(divide_samples(np.arange(2))[1]) == 1
    with pytest.raises(InputError, match="give two or more"):
        divide_samples(np.arange(1))


@pytest.mark.parametrize("num_finished", [1, 2])
def test_a_killed_training_resumes_to_the_same_bytes(trained, tmp_path, monkeypatch, num_finished):
    config = replace(TINY, epochs=3)
    few = ingest_step(IngestConfig(), Digits(size=16, test_fraction=0.9), trained.context)
    make_step(few, trained.context)
    measured = {"psnr": 30.0, "bit_accuracy": 1.0}
    monkeypatch.setattr(
        ssba_encoder_training, "measure_hiding", lambda *arguments, **keywords: measured
    )

    def train(root: Path, executor: KilledAndResumed | None = None) -> dict[str, str]:
        context = replace(trained.context, store=Store(root))
        return make_step(ssba_encoder_step(config, few, context), context, executor).hashes

    killed = KilledAndResumed(ssba_encoder_training, num_finished, monkeypatch)
    whole = train(tmp_path / "whole")
    assert train(tmp_path / "killed", killed) == whole
    assert set(whole) == {"encoder.safetensors", "decoder.safetensors", "metrics.json"}
