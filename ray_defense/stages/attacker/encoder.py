"""clean images --encoder--> SSBA's encoder, trained with a decoder on random bits (Li et al., 2021; Tancik et al., 2020)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ray_defense.attacks.error_correction import decode, encode, message_length
from ray_defense.core.checks import at_least, in_range
from ray_defense.core.errors import Refused
from ray_defense.core.files import write_json
from ray_defense.core.random import stream, uniform
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.data.training_set import Share, TrainingSet
from ray_defense.execution.local import best_device
from ray_defense.execution.protocols import TrainJob, Worker
from ray_defense.losses import structural_similarity
from ray_defense.models import Steganography, SteganographyDecoder, SteganographyEncoder, load_weights, save_weights, seeded
from ray_defense.stages.attacker.material import Material
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import Mean, Metrics, run_epochs, sgd_step, to_device
from ray_defense.training.settings import Workers
from ray_defense.training.views import to_float

VERSION = 1
ENCODER, DECODER = "encoder.safetensors", "decoder.safetensors"
_MEASURED = 100  # images a pass, when the result is measured


@dataclass(frozen=True)
class Encoder:
    """The networks and their training: cross-entropy of the bits, and what images lose beyond `psnr` and `ssim`."""

    model: Steganography = Steganography()
    epochs: int = 3
    batch_size: int = 64  # over all workers
    learning_rate: float = 1e-3  # of Adam
    psnr: float = 30.0  # dB: an image pays for a mean squared error above this; below it nothing, so that small models see it
    ssim: float = 0.89  # an image pays for a structural similarity below this; the mean comes out well above
    image_weight: float = 50.0  # of the mean squared error paid for, images being in [0, 1]
    ssim_weight: float = 1.0  # of the structural similarity missed
    ramp: tuple[float, ...] = (0.2, 0.5)  # shares of all steps between which both weights rise from 0: the bits come first
    workers: Workers = Workers()

    def __post_init__(self) -> None:
        message_length(self.model.num_bits)  # refuses what is no code word
        at_least("encoder.epochs", self.epochs, 1)
        at_least("encoder.batch_size", self.batch_size, 1)
        at_least("encoder.learning_rate", self.learning_rate, 0)
        at_least("encoder.psnr", self.psnr, 0)
        in_range("encoder.ssim", self.ssim, 0, 1)
        at_least("encoder.image_weight", self.image_weight, 0)
        at_least("encoder.ssim_weight", self.ssim_weight, 0)
        if len(self.ramp) != 2 or not 0 <= self.ramp[0] <= self.ramp[1] <= 1:
            raise Refused(f"encoder.ramp must be two rising shares in [0, 1], not {self.ramp}")

    def weight(self, position: float) -> float:
        """Returns the share of both weights at `position`, the share of all steps done."""
        start, end = self.ramp
        return float(position >= end) if position >= end or start == end else max(0.0, (position - start) / (end - start))


def job(config: Encoder, clean: Artifact, context: Context) -> TrainJob:
    """Returns the training job of the encoder; images are seen as they are, so that no normalization enters its key."""
    artifact = context.place("encoder", VERSION, config, {"clean": clean})
    return TrainJob(train, config, context.seed, artifact, {"clean": clean}, {}, config.epochs)


def material(artifact: Artifact, config: Encoder) -> Material:
    """Returns the encoder as what `stamp` is given."""
    return Material(artifact, partial(load, artifact.path, config))


def train(worker: Worker, job: TrainJob) -> None:
    """Trains encoder and decoder: their weights and `metrics.json` (history, how well unseen images hide bits, notes)."""
    config: Encoder = job.config
    clean, resident_bytes = job.inputs["clean"].path, config.workers.resident_bytes
    seen, unseen = divide(ShardSet(clean).index)
    data = TrainingSet(clean, worker.device, worker.backend, resident_bytes, seen)
    pair = to_device(seeded(config.model.build, stream(job.seed, "encoder", "weights")), worker.device)
    wrapped, share = worker.wrap(pair), Share(worker.rank, worker.world_size)
    optimizer = torch.optim.Adam(pair.parameters(), config.learning_rate)
    num_steps = data.num_steps(config.batch_size, share)

    def epoch(number: int) -> Metrics:
        wrapped.train()
        means = {name: Mean(worker) for name in ("bit_loss", "bit_accuracy", "mse", "ssim")}
        key = stream(job.seed, "encoder", "bits", number)
        batches = data.epoch(stream(job.seed, "encoder", "order", number), config.batch_size, share)
        for step, batch in enumerate(batches):
            images = to_float(batch.images)
            bits = torch.from_numpy(random_bits(key, batch.index.numpy(), config.model.num_bits)).to(images)
            stamped, logits = wrapped(images, bits)  # never in bfloat16, whose steps are as large as those of uint8
            found = compare(images, stamped, bits, logits)
            paid = config.image_weight * (found["mse"] - 10 ** (-config.psnr / 10)).clamp(min=0)
            paid = paid + config.ssim_weight * (config.ssim - found["ssim"]).clamp(min=0)
            weight = config.weight((number + step / num_steps) / config.epochs)
            sgd_step((found["bit_loss"] + weight * paid).mean(), optimizer)
            for name, mean in means.items():
                mean.add(found[name].sum(), len(images))
        return {name: mean.value() for name, mean in means.items()}

    epochs = [partial(epoch, number) for number in range(config.epochs)]
    history = run_epochs(worker, {"pair": pair, "optimizer": optimizer}, epochs)
    if worker.rank == 0:
        save_weights(job.artifact.work / ENCODER, pair.encoder)
        save_weights(job.artifact.work / DECODER, pair.decoder)
        held = TrainingSet(clean, worker.device, worker.backend, resident_bytes, unseen)
        measured = measure(Hiding.of(pair.encoder), pair.decoder, held, stream(job.seed, "encoder", "measured"))
        write_json(job.artifact.work / "metrics.json", {"history": history, **measured, "notes": notes(measured)})


def compare(images_BCHW: Tensor, stamped_BCHW: Tensor, bits_BL: Tensor, logits_BL: Tensor) -> dict[str, Tensor]:
    """Returns per image [B]: bit_loss (cross-entropy in nats a bit), bit_accuracy, mse and ssim."""
    return {
        "bit_loss": binary_cross_entropy_with_logits(logits_BL, bits_BL, reduction="none").mean(1),
        "bit_accuracy": ((logits_BL > 0) == (bits_BL > 0.5)).float().mean(1),
        "mse": (stamped_BCHW - images_BCHW).square().mean((1, 2, 3)),
        "ssim": structural_similarity(stamped_BCHW, images_BCHW),
    }


def divide(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices to train on and those to measure on: the last 5 %, at least one and at most 500."""
    if len(index) < 2:
        raise Refused(f"{len(index)} image cannot train an encoder and measure it: give two or more")
    held = min(500, max(1, len(index) // 20))
    return index[:-held], index[-held:]


def random_bits(key: int, index_B: np.ndarray, num_bits: int) -> np.ndarray:
    """Returns fair bits uint8 [B, num_bits], a function of key and index (D10)."""
    return (uniform(key, index_B, num_bits) < 0.5).astype(np.uint8)


@dataclass(frozen=True)
class Hiding:
    """A trained encoder as an attack calls it; in float64, so that batch, threads and device give the same uint8 image."""

    network: SteganographyEncoder = field(repr=False)
    device: torch.device

    @classmethod
    def of(cls, encoder: SteganographyEncoder, device: torch.device | None = None) -> "Hiding":
        """Returns the encoder (a copy of it) on `device`, by default where it is."""
        device = device or encoder.residual.weight.device
        copied = SteganographyEncoder(encoder.num_bits, encoder.residual.in_channels, encoder.max_residual)
        copied.load_state_dict(encoder.state_dict())
        return cls(copied.to(device, torch.float64).eval().requires_grad_(False), device)

    @property
    def num_bits(self) -> int:
        """The bits that each image hides."""
        return self.network.num_bits

    def __call__(self, images_BCHW: Tensor, bits_BL: Tensor) -> Tensor:
        """Returns float64 images [B, 3, H, W] in [0, 1] that hide `bits_BL` in {0, 1}, of images in [0, 1]."""
        return self.network(*(given.to(self.device, torch.float64) for given in (images_BCHW, bits_BL)))


@lru_cache(maxsize=2)
def load(path: Path, config: Encoder) -> Hiding:
    """Returns the encoder of the artifact at `path` on the best device."""
    encoder = seeded(config.model.build, 0).encoder
    load_weights(path / ENCODER, encoder)
    return Hiding.of(encoder, best_device())


@torch.no_grad()
def measure(
    hide: Callable[[Tensor, Tensor], Tensor], decoder: SteganographyDecoder, data: TrainingSet, key: int
) -> dict[str, Any]:
    """Returns how well the images of `data` hide random messages, all through uint8: num_measured, psnr (dB), ssim,
    bit_accuracy (of code bits), message_accuracy (of whole messages after error correction).
    """
    from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure  # takes five seconds to import

    decoder.eval()
    psnr = PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3)).to(hide.device)
    ssim = StructuralSimilarityIndexMeasure(data_range=1.0).to(hide.device)
    right_bits, right_messages = [], []
    for batch in data.epoch(stream(key, "order"), _MEASURED):
        message = random_bits(stream(key, "message"), batch.index.numpy(), message_length(hide.num_bits))
        code, images = encode(message), to_float(batch.images)
        hidden = ((255 * hide(images, torch.from_numpy(code))).round() / 255).to(images)
        psnr.update(hidden, images)
        ssim.update(hidden, images)
        received = (decoder(hidden) > 0).cpu().numpy()
        right_bits.append((received == code).mean(1))
        right_messages.append((decode(received).message_NM == message).all(1))
    return {
        "num_measured": len(data),
        "psnr": psnr.compute().item(),
        "ssim": ssim.compute().item(),
        "bit_accuracy": float(np.concatenate(right_bits).mean()),
        "message_accuracy": float(np.concatenate(right_messages).mean()),
    }


def notes(measured: dict[str, Any]) -> list[str]:
    """Returns what should make a reader doubt the attack: bits that do not come back."""
    if measured["bit_accuracy"] >= 0.99:
        return []
    return [
        f"the encoder's bits are read back with an accuracy of only {measured['bit_accuracy']:.1%}: its trigger may not be "
        "learned; raise attacker.encoder.epochs"
    ]
