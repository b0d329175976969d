"""SSBA: the code corrects what it says, the networks keep their bounds, and a trained encoder's bits come back from uint8."""

import pickle
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.attacks.error_correction import GENERATOR, code_length, decode, encode, message_length
from ray_defense.attacks.ssba import Ssba
from ray_defense.core.config import override
from ray_defense.core.errors import Refused
from ray_defense.core.files import read_json
from ray_defense.core.random import stream, uniform
from ray_defense.data.sources import Digits
from ray_defense.data.training_set import TrainingSet
from ray_defense.execution.local import LocalExecutor, LocalWorker
from ray_defense.execution.protocols import TrainJob
from ray_defense.losses import structural_similarity
from ray_defense.models import Steganography, load_weights, seeded
from ray_defense.stages import ingest as shard
from ray_defense.stages.attacker import encoder
from ray_defense.stages.attacker.encoder import Encoder, Hiding, divide
from ray_defense.stages.context import Context, train_missing
from ray_defense.store.artifacts import Store
from ray_defense.training.settings import Workers
from ray_defense.training.views import NORMALIZATIONS

CPU = torch.device("cpu")
ALL = (np.arange(128)[:, None] >> np.arange(6, -1, -1) & 1).astype(np.uint8)  # every message of one block
SMALL = Steganography(num_bits=15, encoder_width=8, decoder_width=16)
TINY = Encoder(SMALL, epochs=6, batch_size=32, learning_rate=3e-3, workers=Workers(cpus_per_worker=1))


def random_images(seed: int, count: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


# the code


def test_every_one_or_two_errors_in_every_code_word_are_corrected():
    code = encode(ALL)
    for count in (0, 1, 2):
        for places in combinations(range(15), count):
            received = code.copy()
            received[:, places] ^= 1
            decoded = decode(received)
            assert np.array_equal(decoded.message_NM, ALL)
            assert (decoded.num_corrected_N == count).all()


def test_a_code_word_is_the_message_and_the_remainder_of_its_division_by_the_generator():
    for message, word in zip(ALL, encode(ALL), strict=True):
        value = int("".join(map(str, message)), 2) << 8
        rest = value
        while rest.bit_length() > 8:
            rest ^= GENERATOR << (rest.bit_length() - 9)
        assert int("".join(map(str, word)), 2) == value | rest


def test_three_errors_are_reported_or_taken_for_another_message_but_never_for_the_sent_one():
    code, failures = encode(ALL), 0
    for places in combinations(range(15), 3):
        received = code[:4].copy()
        received[:, places] ^= 1
        decoded = decode(received)
        same = (decoded.message_NM == ALL[:4]).all(axis=1)
        assert not (same & (decoded.num_corrected_N >= 0)).any()
        failures += (decoded.num_corrected_N < 0).sum()
    assert failures > 0


@given(length=st.integers(1, 30), seed=st.integers(0, 2**16), errors=st.integers(0, 2))
def test_messages_of_any_length_survive_two_errors_in_every_block(length, seed, errors):
    rng = np.random.default_rng(seed)
    message = rng.integers(0, 2, (3, length))
    code = encode(message)
    assert code.shape[1] == code_length(length) and message_length(code.shape[1]) == length
    blocks = range(0, code.shape[1], 15)
    for low in blocks:
        code[:, rng.choice(np.arange(low, min(low + 15, code.shape[1])), errors, replace=False)] ^= 1
    decoded = decode(code)
    assert np.array_equal(decoded.message_NM, message)
    assert (decoded.num_corrected_N == errors * len(blocks)).all()


def test_errors_that_point_into_the_bits_not_sent_are_a_failure():
    sent = encode(np.zeros((1, 1), np.int64))  # a block of nine bits
    lost = 0
    for places in combinations(range(9), 3):
        received = sent.copy()
        received[:, places] ^= 1
        lost += decode(received).num_corrected_N[0] < 0
    assert lost > 60  # of 84


@pytest.mark.parametrize("length", [0, 1, 8, 16, 23])
def test_words_of_a_length_without_a_code_are_refused(length):
    with pytest.raises(Refused):
        decode(np.zeros((1, length), np.uint8))
    with pytest.raises(Refused, match="no code word has"):
        message_length(length)


def test_what_is_not_bits_is_refused():
    for bad in (np.full((1, 7), 2), np.zeros(7), np.full((1, 7), 0.5)):
        with pytest.raises(Refused, match="must be bits"):
            encode(bad)


# the networks


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 21), (32, 32), (33, 47), (48, 19)])
def test_the_residual_is_bounded_and_every_size_gives_all_bits(height, width):
    pair = seeded(replace(SMALL, max_residual=0.07).build, 3)
    with torch.no_grad():
        pair.encoder.residual.weight.mul_(1000)  # saturates
        images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
        stamped, logits = pair(images, torch.tensor([[0.0] * 15, [1.0] * 15]))
    assert stamped.shape == images.shape and logits.shape == (2, 15)
    assert stamped.min() >= 0 and stamped.max() <= 1
    assert 0.069 < (stamped - images).abs().max() <= 0.07 + 1e-6


def test_other_bits_and_other_images_give_other_residuals():
    images = torch.rand(2, 3, 20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    hide = Hiding.of(seeded(SMALL.build, 3).encoder)
    bits = torch.zeros(2, 15)
    residual, other = (hide(images, given) - images for given in (bits, 1 - bits))
    assert (residual - other).abs().mean() > 1e-3
    assert (residual[0] - residual[1]).abs().mean() > 1e-3


def test_the_gradient_of_the_bits_passes_the_rounding():
    pair = seeded(SMALL.build, 3)
    images = torch.full((2, 3, 16, 16), 0.5)
    _, logits = pair(images, torch.ones(2, 15))
    logits.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in pair.encoder.parameters())


def test_the_decoder_sees_images_rounded_to_uint8():
    pair = seeded(SMALL.build, 3)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stamped, logits = pair(images, torch.ones(2, 15))
        rounded = torch.from_numpy(np.rint(255 * stamped.numpy()).astype(np.uint8)).float() / 255
        torch.testing.assert_close(logits, pair.decoder(rounded))


def test_small_images_and_another_number_of_bits_are_refused():
    network = seeded(SMALL.build, 0).encoder
    with pytest.raises(Refused, match="15 x 16 pixels are too small"):
        network(torch.zeros(1, 3, 15, 16), torch.zeros(1, 15))
    with pytest.raises(Refused, match="15 bits are hidden"):
        network(torch.zeros(1, 3, 16, 16), torch.zeros(1, 14))


def test_structural_similarity_is_its_formula_at_every_pixel():
    rng = np.random.default_rng(0)
    a = rng.random((12, 9))
    b = np.clip(a + rng.normal(0, 0.2, a.shape), 0, 1)
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / np.outer(window, window).sum()
    padded_a, padded_b = (np.pad(image, 5, mode="reflect") for image in (a, b))
    total = 0.0
    for row in range(12):
        for column in range(9):
            x, y = (image[row : row + 11, column : column + 11] for image in (padded_a, padded_b))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            variance_x, variance_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            upper = (2 * mean_x * mean_y + 1e-4) * (2 * covariance + 9e-4)
            total += upper / ((mean_x**2 + mean_y**2 + 1e-4) * (variance_x + variance_y + 9e-4))
    images = [torch.from_numpy(np.stack([image, a])[None]) for image in (a, b)]
    found = structural_similarity(*images)
    assert found.shape == (1,)
    second = structural_similarity(*(image[:, 1:] for image in images)).item()
    assert second == pytest.approx(1.0)
    assert found.item() == pytest.approx((total / 108 + 1.0) / 2, abs=1e-9)


# the attack


def test_the_message_becomes_its_ascii_bits_with_checks():
    code = Ssba(message="RD").code
    assert len(code) == 30
    decoded = decode(code[None]).message_NM[0]
    assert "".join(map(str, decoded)) == f"{ord('R'):07b}{ord('D'):07b}"
    for message in ("", "ü"):
        with pytest.raises(Refused, match="ASCII"):
            Ssba(message=message)


@given(seed=st.integers(0, 2**16), count=st.integers(0, 4), size=st.sampled_from([(16, 16), (17, 23), (32, 32)]))
def test_stamping_alone_or_in_a_batch_gives_the_same_bits(seed, count, size):
    hide, attack = Hiding.of(seeded(SMALL.build, seed).encoder), Ssba(message="x")
    images, index = random_images(seed, count, *size), np.arange(count)
    before = images.copy()
    stamped = attack.stamp(images, index, "train", hide)
    assert stamped.dtype == np.uint8 and stamped.shape == images.shape and not np.shares_memory(stamped, images)
    np.testing.assert_array_equal(images, before)
    for phase in ("cover", "test"):
        for i in range(count):
            np.testing.assert_array_equal(attack.stamp(images[i : i + 1], index[i : i + 1], phase, hide)[0], stamped[i])


def test_stamped_pixels_are_rounded_to_the_nearest_level():
    material = SimpleNamespace(num_bits=15)

    class Fixed:
        num_bits = 15

        def __call__(self, images, bits):
            assert bits.shape == (len(images), 15) and images.min() >= 0 and images.max() <= 1
            return images + torch.tensor([0.6, -0.4, 1.4])[:, None, None] / 255

    image = np.full((1, 16, 16, 3), 254, np.uint8)
    assert Ssba(message="x").stamp(image, np.array([0]), "train", Fixed())[0, 0, 0].tolist() == [255, 254, 255]
    with pytest.raises(Refused, match="must be a function"):
        Ssba(message="x").stamp(image, np.array([0]), "train", material)


def test_an_encoder_that_is_missing_or_hides_another_number_of_bits_is_refused():
    images, index = random_images(0, 1), np.array([0])
    with pytest.raises(Refused, match="got none"):
        Ssba().stamp(images, index)
    with pytest.raises(Refused, match="has 30 code bits and the encoder hides 15"):
        Ssba().stamp(images, index, "train", Hiding.of(seeded(SMALL.build, 0).encoder))
    with pytest.raises(Refused, match="cannot hold the trigger"):
        Ssba().stamp(images[:, :15], index, "train", Hiding.of(seeded(SMALL.build, 0).encoder))


# the stage


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> SimpleNamespace:
    """An encoder of 15 bits trained for seconds on digits of 16 x 16 pixels."""
    root = tmp_path_factory.mktemp("encoder")
    context = Context(Store(root), LocalExecutor("numpy", CPU), 0, NORMALIZATIONS["half"])
    clean = shard.run(shard.Shard(), Digits(size=16), context)
    made = encoder.job(TINY, clean, context)
    train_missing(context, [made])
    material = encoder.material(made.artifact, TINY)
    return SimpleNamespace(root=root, context=context, clean=clean, material=material)


def test_the_bits_that_an_attack_hides_come_back_from_uint8(trained):
    images = Digits(size=16).read("test", 0, 200).images
    attack = Ssba(message="k")
    stamped = attack.stamp(images, np.arange(200), "test", trained.material.load())
    decoder = seeded(SMALL.build, 0).decoder
    load_weights(trained.material.artifact.path / "decoder.safetensors", decoder)
    with torch.no_grad():
        received, unstamped = (
            (decoder(torch.from_numpy(given).permute(0, 3, 1, 2).float() / 255) > 0).numpy() for given in (stamped, images)
        )
    assert (received == attack.code).mean() > 0.95
    assert (unstamped == attack.code).mean() < 0.8
    assert (decode(received).message_NM == decode(attack.code[None]).message_NM).all(axis=1).mean() > 0.9


def test_the_metrics_say_how_visible_and_how_readable_unseen_images_are(trained):
    found = read_json(trained.material.artifact.path / "metrics.json")
    assert len(found["history"]) == TINY.epochs and found["num_measured"] == 71  # 5 % of 1,438
    assert found["bit_accuracy"] > 0.95 and found["message_accuracy"] >= found["bit_accuracy"] - 0.2
    assert bool(found["notes"]) is (found["bit_accuracy"] < 0.99)
    # parity: the definitions, over the same images through the attack's own path
    hide = trained.material.load()
    held = TrainingSet(trained.clean.path, CPU, "numpy", 1 << 30, divide(np.arange(1438))[1])
    again = encoder.measure(hide, seeded(SMALL.build, 0).decoder, held, stream(0, "encoder", "measured"))
    assert (again["psnr"], again["ssim"]) == pytest.approx((found["psnr"], found["ssim"]))
    errors = []
    for batch in held.epoch(0, 71):
        key = stream(stream(0, "encoder", "measured"), "message")
        message = (uniform(key, batch.index.numpy(), 7) < 0.5).astype(int)
        images = batch.images.permute(0, 3, 1, 2).double() / 255
        hidden = (255 * hide(images, torch.from_numpy(encode(message)))).round() / 255
        errors = [((a - b) ** 2).mean().item() for a, b in zip(hidden, images, strict=True)]
    assert found["psnr"] == pytest.approx(np.mean([-10 * np.log10(error) for error in errors]), abs=1e-3)


def test_a_loaded_encoder_travels_and_stays_the_same(trained):
    images, index = random_images(1, 3, 20, 20), np.arange(3)
    load = pickle.loads(pickle.dumps(trained.material.load))
    one, other = (Ssba(message="k").stamp(images, index, "train", hide) for hide in (load(), trained.material.load()))
    np.testing.assert_array_equal(one, other)


def test_the_last_twentieth_is_measured_and_not_trained_on():
    index = 3 * np.arange(1000)
    seen, unseen = divide(index)
    assert unseen.tolist() == index[950:].tolist() and seen.tolist() == index[:950].tolist()
    assert len(divide(np.arange(50_000))[1]) == 500 and len(divide(np.arange(2))[1]) == 1
    with pytest.raises(Refused, match="give two or more"):
        divide(np.arange(1))


@pytest.mark.parametrize(("position", "weight"), [(0, 0), (0.2, 0), (0.35, 0.5), (0.5, 1), (0.9, 1)])
def test_the_image_weights_rise_between_the_two_ends_of_the_ramp(position, weight):
    assert Encoder().weight(position) == pytest.approx(weight)
    assert Encoder(ramp=(0.0, 0.0)).weight(position) == 1


def test_an_encoder_of_no_code_word_or_with_a_falling_ramp_is_refused():
    with pytest.raises(Refused, match="no code word has 20 bits"):
        Encoder(Steganography(20))
    with pytest.raises(Refused, match="two rising shares"):
        Encoder(ramp=(0.5, 0.2))
    assert override(Encoder(), "model.num_bits", "45").model.num_bits == 45


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_killed_training_resumes_to_the_same_bytes(trained, tmp_path, monkeypatch, stop_after):
    config = replace(TINY, epochs=3)
    few = shard.run(shard.Shard(), Digits(size=16, test_fraction=0.9), trained.context)
    whole, cut = (encoder.job(config, few, replace(trained.context, store=Store(tmp_path / name))) for name in "ab")
    measured = {"psnr": 30.0, "bit_accuracy": 1.0}
    monkeypatch.setattr(encoder, "measure", lambda *given: measured)

    class Killed(LocalWorker):
        def report(self, state) -> None:
            if state["epoch"] == stop_after:
                raise KeyboardInterrupt

    def run(made: TrainJob, worker_type: type[LocalWorker]) -> None:
        made.artifact.scratch.mkdir(parents=True, exist_ok=True)
        encoder.train(worker_type(made, CPU, "numpy"), made)

    run(whole, LocalWorker)
    with pytest.raises(KeyboardInterrupt):
        run(cut, Killed)
    run(cut, LocalWorker)
    for name in ("encoder.safetensors", "decoder.safetensors", "metrics.json"):
        assert (whole.artifact.work / name).read_bytes() == (cut.artifact.work / name).read_bytes()
