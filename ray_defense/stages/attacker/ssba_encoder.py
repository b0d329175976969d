"""clean images --ssba_encoder--> SSBA's encoder, trained with a decoder on random bits.

Source: SSBA (Li et al., ICCV 2021); StegaStamp (Tancik et al., CVPR 2020).
"""

from dataclasses import dataclass
from functools import partial

from ray_defense.attacks.error_correction import message_length
from ray_defense.core.checks import check_at_least, check_in_range
from ray_defense.core.errors import InputError
from ray_defense.execution.protocols import TrainJob, Worker
from ray_defense.execution.steps import Step, work_of_job
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.steganography import Steganography
from ray_defense.stages.attacker.prepared_attack import AttackAsset
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Artifact

VERSION = 1


@dataclass(frozen=True)
class SsbaEncoderConfig:
    """The networks and their training.

    The loss is the cross-entropy of the bits, plus what images lose beyond a quality that costs
    nothing, so that small networks see the trigger too.
    """

    model: Steganography = Steganography()
    epochs: int = 3
    batch_size: int = 64  # over all workers
    learning_rate: float = 1e-3  # of Adam
    psnr: float = 30.0  # dB: an image pays for a mean squared error above what this allows
    ssim: float = 0.89  # an image pays for a structural similarity below this
    image_weight: float = 50.0  # of the mean squared error paid for, images being in [0, 1]
    ssim_weight: float = 1.0  # of the structural similarity missed
    ramp: tuple[float, ...] = (0.2, 0.5)  # shares of all steps between which both weights rise
    workers: WorkerGroup = WorkerGroup()

    def __post_init__(self) -> None:
        message_length(self.model.num_bits)  # raises where no code word has that length
        check_at_least("encoder.epochs", self.epochs, 1)
        check_at_least("encoder.batch_size", self.batch_size, 1)
        check_at_least("encoder.learning_rate", self.learning_rate, 0)
        check_at_least("encoder.psnr", self.psnr, 0)
        check_in_range("encoder.ssim", self.ssim, 0, 1)
        check_at_least("encoder.image_weight", self.image_weight, 0)
        check_at_least("encoder.ssim_weight", self.ssim_weight, 0)
        if len(self.ramp) != 2 or not 0 <= self.ramp[0] <= self.ramp[1] <= 1:
            raise InputError(f"encoder.ramp must be two rising shares in [0, 1], not {self.ramp}")

    def weight_at(self, position: float) -> float:
        """Returns the share of both weights at `position`, the share of all steps done."""
        start, end = self.ramp
        if position >= end:
            return 1.0
        if position <= start:
            return 0.0
        return (position - start) / (end - start)


@dataclass(frozen=True)
class SsbaEncoderInputs:
    """What the training of the encoder takes."""

    config: SsbaEncoderConfig
    seed: int
    clean: Artifact


def ssba_encoder_step(config: SsbaEncoderConfig, clean: Step, context: PlanContext) -> Step:
    """Returns the step that trains the encoder on the clean dataset.

    Images are seen as they are, so that no normalization enters its key.
    """
    artifact = context.locate("ssba_encoder", VERSION, config, {"clean": clean})
    job = TrainJob(
        program=_train,
        artifact=artifact,
        inputs=SsbaEncoderInputs(config, context.seed, clean.artifact),
        workers=config.workers,
        num_epochs=config.epochs,
    )
    return Step(artifact, needs=(clean,), work=work_of_job(job))


def _train(worker: Worker, artifact: Artifact, inputs: SsbaEncoderInputs) -> None:
    from ray_defense.stages.attacker.ssba_encoder_training import train_ssba_encoder

    train_ssba_encoder(worker, artifact, inputs)


def ssba_encoder_asset(artifact: Artifact, config: SsbaEncoderConfig) -> AttackAsset:
    """Returns the encoder as what `stamp` is given."""
    return AttackAsset(artifact, partial(_load, artifact, config))


def _load(artifact: Artifact, config: SsbaEncoderConfig) -> object:
    from ray_defense.stages.attacker.ssba_encoder_training import load_message_encoder

    return load_message_encoder(artifact.path, config)
