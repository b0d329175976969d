"""Bytes and seconds of one epoch of a stage on n GPUs, from measured and assumed constants.

Weak scaling: the batch of a GPU stays the recipe's, so the batch of a step grows with the GPUs;
the dataset stays.
"""

from dataclasses import dataclass

from benchmarks.scaling.datasets import PlannedDataset
from benchmarks.scaling.inputs import assumed, measured
from benchmarks.scaling.stages import TrainingStage
from ray_defense.training.loop import CHECKPOINT_INTERVAL_S, SMALL_CHECKPOINT_BYTES


@dataclass(frozen=True)
class EpochCost:
    """Bytes and seconds of one epoch of a stage on some GPUs."""

    num_steps: int  # that train
    read_bytes: float  # from the shared disk, by all GPUs
    first_read_bytes: float  # before the first epoch, by all GPUs
    reduced_bytes: float  # that a GPU sends in a step: gradients
    gathered_bytes: float  # that a GPU sends in a step: features and labels
    written_bytes: float  # by rank 0: checkpoints, an epoch's part of them, and what else it keeps
    seconds: dict[str, float]  # by what they go into

    @property
    def total_s(self) -> float:
        """Seconds of the epoch, nothing overlapped."""
        return sum(self.seconds.values())


def epoch_cost(data: PlannedDataset, stage: TrainingStage, num_gpus: int) -> EpochCost:
    """Returns what one epoch of a stage costs; `docs/scaling.md` has the formulas."""
    steps_of_passes = []
    for sample_pass in stage.passes:
        num_steps = data.num_steps(
            sample_pass.num_samples, stage.batch_size, num_gpus, stage.drop_last
        )
        steps_of_passes.append(num_steps)
    num_training_steps = 0
    for sample_pass, num_steps in zip(stage.passes, steps_of_passes, strict=True):
        if sample_pass.trains:
            num_training_steps += num_steps
    # A ring moves 2 (n-1)/n bytes for each byte of gradient.
    ring_fraction = (num_gpus - 1) / num_gpus
    reduced = 2 * ring_fraction * 4 * stage.network.num_trained
    batch_size = num_gpus * stage.batch_size
    gathered = 3 * ring_fraction * batch_size * stage.gathered_bytes
    gathered += ring_fraction * batch_size * stage.plain_gathered_bytes
    streamed = _streamed_samples(data, stage, num_gpus)
    gpu_s = _gpu_seconds(stage, steps_of_passes, num_gpus)
    step_floor_s = assumed("step_s") * sum(steps_of_passes)
    is_gpu_bound = gpu_s > step_floor_s
    seconds = {
        "GPU": gpu_s if is_gpu_bound else 0.0,
        "step floor": 0.0 if is_gpu_bound else step_floor_s,
        "JPEG decode": streamed / num_gpus / measured("decode_rate") if data.is_jpeg else 0.0,
        "disk": streamed * data.stored_bytes / assumed("disk"),
        "network": num_training_steps * (reduced + gathered) / _network_rate(num_gpus),
    }
    written = checkpoint_bytes(stage) * _checkpoints_an_epoch(stage, sum(seconds.values()))
    written += stage.kept_bytes
    seconds["checkpoint"] = written / min(measured("checkpoint_rate"), assumed("disk"))
    return EpochCost(
        num_steps=num_training_steps,
        read_bytes=streamed * data.stored_bytes,
        first_read_bytes=num_gpus * _resident_samples(data, stage) * data.stored_bytes,
        reduced_bytes=reduced,
        gathered_bytes=gathered,
        written_bytes=written,
        seconds=seconds,
    )


def checkpoint_bytes(stage: TrainingStage) -> int:
    """Returns the bytes of a checkpoint: the model, and the momenta of its trained parameters."""
    network = stage.network
    num_numbers = network.num_parameters + stage.num_momenta * network.num_trained
    return 4 * num_numbers + network.buffer_bytes


def _checkpoints_an_epoch(stage: TrainingStage, epoch_s: float) -> float:
    """Returns how many checkpoints an epoch of so many seconds has, on average."""
    if checkpoint_bytes(stage) <= SMALL_CHECKPOINT_BYTES:
        return 1.0
    return min(1.0, epoch_s / CHECKPOINT_INTERVAL_S)


def stage_seconds(data: PlannedDataset, stage: TrainingStage, num_gpus: int) -> float:
    """Returns the seconds of a whole stage without the start of Ray Train."""
    cost = epoch_cost(data, stage, num_gpus)
    return stage.num_epochs * cost.total_s + cost.first_read_bytes / assumed("disk")


def _gpu_seconds(stage: TrainingStage, steps_of_passes: list[int], num_gpus: int) -> float:
    flops_per_s = assumed("flops") * assumed("utilization")
    seconds = 0.0
    for sample_pass, num_steps in zip(stage.passes, steps_of_passes, strict=True):
        local_batch = min(stage.batch_size, sample_pass.num_samples / num_gpus)
        num_images = num_steps * local_batch * sample_pass.num_forwards
        seconds += num_images * stage.network.flops / flops_per_s
    return seconds


def _streamed_samples(data: PlannedDataset, stage: TrainingStage, num_gpus: int) -> float:
    """Returns how many samples all passes of an epoch read from the disk."""
    streamed = 0.0
    for sample_pass in stage.passes:
        num_samples = sample_pass.num_samples
        if data.streams(num_samples):
            streamed += num_samples * (1 - data.left_out_fraction(num_samples, num_gpus))
    return streamed


def _resident_samples(data: PlannedDataset, stage: TrainingStage) -> int:
    """Returns how many samples every GPU reads once, before the first epoch."""
    sizes = set()
    for sample_pass in stage.passes:
        if not data.streams(sample_pass.num_samples):
            sizes.add(sample_pass.num_samples)
    return sum(sizes)


def _network_rate(num_gpus: int) -> float:
    within_node = num_gpus <= assumed("gpus_per_node")
    return assumed("inside_node") if within_node else assumed("between_nodes")
