"""Trains SSBA's encoder and decoder, and measures how well unseen images hide messages.

Shapes: B images, L code bits, M message bits.
"""

from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ray_defense.attacks.error_correction import decode, encode, message_length
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.core.random import stream, uniform
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.data.training_set import TrainingSet, WorkerShare
from ray_defense.execution.device import best_device
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.similarity import structural_similarity
from ray_defense.models.seeded import build_seeded
from ray_defense.models.steganography_networks import SteganographyDecoder, SteganographyEncoder
from ray_defense.models.weights import load_weights, save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import checked_file
from ray_defense.training.loop import RunningMean, Stateful, run_epochs, take_step, to_device
from ray_defense.training.views import to_float

if TYPE_CHECKING:
    from ray_defense.stages.attacker.ssba_encoder import SsbaEncoderConfig, SsbaEncoderInputs

ENCODER = "encoder.safetensors"
DECODER = "decoder.safetensors"
_MEASURED_BATCH = 100  # images a pass, when the result is measured
_METRICS = ("bit_loss", "bit_accuracy", "mse", "ssim")


def train_ssba_encoder(worker: Worker, artifact: Artifact, inputs: "SsbaEncoderInputs") -> None:
    """Trains encoder and decoder: their weights, and `metrics.json`.

    The metrics are the history, how well unseen images hide bits, and notes.
    """
    config = inputs.config
    training = _EncoderTraining(worker, inputs)
    epochs = [partial(training.run_epoch, number) for number in range(config.epochs)]
    parts: dict[str, Stateful] = {"pair": training.pair, "optimizer": training.optimizer}
    history = run_epochs(worker, parts, epochs)
    if worker.rank == 0:
        encoder = training.pair.encoder
        decoder = training.pair.decoder
        save_weights(artifact.work / ENCODER, encoder)
        save_weights(artifact.work / DECODER, decoder)
        measured = measure_hiding(
            MessageEncoder.of(encoder),
            decoder,
            training.open_unseen(),
            key=stream(inputs.seed, "encoder", "measured"),
        )
        metrics = {"history": history, **measured, "notes": encoder_notes(measured)}
        write_json(artifact.work / "metrics.json", metrics)


class HidesBits(Protocol):
    """What hides bits in images, as a `MessageEncoder` does."""

    @property
    def num_bits(self) -> int:
        """The bits that each image hides."""

    def __call__(self, images_BCHW: Tensor, bits_BL: Tensor, /) -> Tensor:
        """Returns images that hide bits."""


class _EncoderTraining:
    """Encoder and decoder, the images they are trained on, and an epoch over these."""

    def __init__(self, worker: Worker, inputs: "SsbaEncoderInputs"):
        self.worker = worker
        self.config = inputs.config
        self.seed = inputs.seed
        self.clean = inputs.clean.path
        seen, self.unseen = divide_samples(SuspectDataset(self.clean).index)
        self.data = self._open(seen)
        weights_seed = stream(self.seed, "encoder", "weights")
        self.pair = to_device(build_seeded(self.config.model.build, weights_seed), worker.device)
        self.wrapped = worker.wrap(self.pair)
        self.optimizer = torch.optim.Adam(self.pair.parameters(), self.config.learning_rate)

    def open_unseen(self) -> TrainingSet:
        return self._open(self.unseen)

    def _open(self, index: np.ndarray) -> TrainingSet:
        return TrainingSet(
            self.clean,
            self.worker.device,
            self.worker.backend,
            resident_bytes=self.config.workers.resident_bytes,
            select=index,
        )

    def run_epoch(self, number: int) -> Metrics:
        config = self.config
        share = WorkerShare.of(self.worker)
        num_steps = self.data.num_steps(config.batch_size, share)
        bits_key = stream(self.seed, "encoder", "bits", number)
        order_key = stream(self.seed, "encoder", "order", number)
        means = {name: RunningMean(self.worker) for name in _METRICS}
        self.wrapped.train()
        for step, batch in enumerate(self.data.epoch(order_key, config.batch_size, share)):
            images = to_float(batch.images)
            drawn = random_bits(bits_key, batch.index.numpy(), config.model.num_bits)
            bits = torch.from_numpy(drawn).to(images)
            # Never in bfloat16, whose steps are as large as those of uint8.
            stamped, logits = self.wrapped(images, bits)
            compared = compare_images(images, stamped, bits, logits_BL=logits)
            position = (number + step / num_steps) / config.epochs
            weight = config.weight_at(position)
            loss = compared["bit_loss"] + weight * self._price(compared)
            take_step(loss.mean(), self.optimizer)
            for name, mean in means.items():
                mean.add(compared[name].sum(), len(images))
        return {name: mean.value() for name, mean in means.items()}

    def _price(self, compared: dict[str, Tensor]) -> Tensor:
        """Returns what each image pays for its loss of quality, [B]."""
        config = self.config
        free_mse = 10 ** (-config.psnr / 10)
        price = config.image_weight * (compared["mse"] - free_mse).clamp(min=0)
        return price + config.ssim_weight * (config.ssim - compared["ssim"]).clamp(min=0)


def compare_images(
    images_BCHW: Tensor, stamped_BCHW: Tensor, bits_BL: Tensor, logits_BL: Tensor
) -> dict[str, Tensor]:
    """Returns, for each image [B]: bit_loss (nats a bit), bit_accuracy, mse and ssim."""
    bit_loss = binary_cross_entropy_with_logits(logits_BL, bits_BL, reduction="none")
    is_right = (logits_BL > 0) == (bits_BL > 0.5)
    return {
        "bit_loss": bit_loss.mean(1),
        "bit_accuracy": is_right.float().mean(1),
        "mse": (stamped_BCHW - images_BCHW).square().mean((1, 2, 3)),
        "ssim": structural_similarity(stamped_BCHW, images_BCHW),
    }


def divide_samples(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices to train on and those to measure on.

    Measured are the last 5 %, at least one and at most 500.

    Raises:
        InputError: For fewer than two samples.
    """
    if len(index) < 2:
        raise InputError(
            f"{len(index)} image cannot train an encoder and measure it: give two or more"
        )
    num_measured = min(500, max(1, len(index) // 20))
    return index[:-num_measured], index[-num_measured:]


def random_bits(key: int, index_B: np.ndarray, num_bits: int) -> np.ndarray:
    """Returns fair bits, uint8 [B, num_bits], a function of key and index (D10)."""
    return (uniform(key, index_B, num_bits) < 0.5).astype(np.uint8)


@dataclass(frozen=True)
class MessageEncoder:
    """A trained encoder as an attack calls it.

    It computes in float64, so that batch, threads and device give the same uint8 image.
    """

    network: SteganographyEncoder = field(repr=False)
    device: torch.device

    @classmethod
    def of(
        cls, encoder: SteganographyEncoder, device: torch.device | None = None
    ) -> "MessageEncoder":
        """Returns a copy of an encoder on `device`, by default where it is."""
        device = device or encoder.residual.weight.device
        copied = SteganographyEncoder(
            encoder.num_bits, encoder.residual.in_channels, encoder.max_residual
        )
        copied.load_state_dict(encoder.state_dict())
        copied.to(device, torch.float64)
        return cls(copied.eval().requires_grad_(False), device)

    @property
    def num_bits(self) -> int:
        """The bits that each image hides."""
        return self.network.num_bits

    def __call__(self, images_BCHW: Tensor, bits_BL: Tensor) -> Tensor:
        """Returns images that hide bits.

        Args:
            images_BCHW: Images in [0, 1].
            bits_BL: Bits in {0, 1}.

        Returns:
            float64 images [B, 3, H, W] in [0, 1].
        """
        images_BCHW = images_BCHW.to(self.device, torch.float64)
        hidden: Tensor = self.network(images_BCHW, bits_BL.to(self.device, torch.float64))
        return hidden


@lru_cache(maxsize=2)
def load_message_encoder(path: Path, config: "SsbaEncoderConfig") -> MessageEncoder:
    """Returns the encoder of the artifact at `path` on the best device."""
    encoder = build_seeded(config.model.build, 0).encoder
    load_weights(checked_file(path / ENCODER), encoder)
    return MessageEncoder.of(encoder, best_device())


@torch.no_grad()
def measure_hiding(
    hide: HidesBits,
    decoder: SteganographyDecoder,
    data: TrainingSet,
    key: int,
) -> dict[str, Any]:
    """Measures how well images hide random messages, all through uint8.

    Args:
        hide: Hides bits in images, as a `MessageEncoder` does.
        decoder: Reads the bits back.
        data: The images.
        key: The random stream of the messages.

    Returns:
        num_measured, psnr (dB, the mean over images), ssim, bit_accuracy (of code bits) and
        message_accuracy (of whole messages after error correction).
    """
    decoder.eval()
    psnr = []
    ssim = []
    right_bits = []
    right_messages = []
    num_message_bits = message_length(hide.num_bits)
    for batch in data.epoch(stream(key, "order"), _MEASURED_BATCH):
        message = random_bits(stream(key, "message"), batch.index.numpy(), num_message_bits)
        code = encode(message)
        images = to_float(batch.images)
        hidden = ((255 * hide(images, torch.from_numpy(code))).round() / 255).to(images)
        mse = (hidden - images).square().mean((1, 2, 3)).double()
        psnr.append(-10 * mse.log10().cpu().numpy())
        ssim.append(structural_similarity(hidden, images).cpu().numpy())
        received = (decoder(hidden) > 0).cpu().numpy()
        right_bits.append((received == code).mean(1))
        right_messages.append((decode(received).message_NM == message).all(1))
    return {
        "num_measured": len(data),
        "psnr": float(np.concatenate(psnr).mean()),
        "ssim": float(np.concatenate(ssim).mean()),
        "bit_accuracy": float(np.concatenate(right_bits).mean()),
        "message_accuracy": float(np.concatenate(right_messages).mean()),
    }


def encoder_notes(measured: dict[str, Any]) -> list[str]:
    """Returns what should make a reader doubt the attack: bits that do not come back."""
    accuracy = measured["bit_accuracy"]
    if accuracy >= 0.99:
        return []
    return [
        f"the encoder's bits are read back with an accuracy of only {accuracy:.1%}: its trigger "
        "may not be learned; raise attacker.encoder.epochs"
    ]
