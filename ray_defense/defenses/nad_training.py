"""The phases of NAD: the teacher is fine-tuned, then the student imitates where it looks.

Shapes: B samples, N classes.
"""

from functools import partial
from typing import TYPE_CHECKING

import torch

from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.core.random import stream
from ray_defense.data.shards.reader import ImageBatch
from ray_defense.data.training_set import WorkerShare
from ray_defense.defenses.protocol import DefenseInputs
from ray_defense.defenses.supervised_phase import SupervisedPhase
from ray_defense.execution.protocols import Metrics, Worker
from ray_defense.losses.attention import attention_distance
from ray_defense.losses.cross_entropy import cross_entropy
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.residual_blocks import RecordedOutputs, last_blocks_of_stages
from ray_defense.models.weights import save_weights
from ray_defense.store.artifacts import Artifact
from ray_defense.training.loop import RunningMean, Stateful, autocast, run_epochs, take_step
from ray_defense.training.schedules import set_rate, step_decay

if TYPE_CHECKING:
    from ray_defense.defenses.nad import AttentionDistillation


def train_nad(
    config: "AttentionDistillation", worker: Worker, artifact: Artifact, inputs: DefenseInputs
) -> None:
    """Trains NAD: `model.safetensors`, the student after its last epoch, and `metrics.json`."""
    training = _AttentionDistillationTraining(config, worker, inputs)
    epochs = []
    for number in range(config.teacher_epochs):
        epochs.append(partial(training.run_teacher_epoch, number))
    for number in range(config.epochs):
        epochs.append(partial(training.run_student_epoch, number))
    parts: dict[str, Stateful] = {
        "teacher": training.teacher,
        "teacher_optimizer": training.teacher_optimizer,
        "student": training.student,
        "student_optimizer": training.student_optimizer,
    }
    history = run_epochs(worker, parts, epochs)
    if worker.rank == 0:
        save_weights(artifact.work / WEIGHTS, training.student)
        write_json(artifact.work / "metrics.json", {"history": history})


class _AttentionDistillationTraining:
    """Teacher and student, both the backdoored model at first, and the clean images."""

    def __init__(self, config: "AttentionDistillation", worker: Worker, inputs: DefenseInputs):
        self.config = config
        self.worker = worker
        self.seed = inputs.seed
        self.phase = SupervisedPhase.on_clean_images("nad", config, worker, inputs)
        num_classes = self.phase.data.num_classes
        self.teacher = inputs.load_backdoored(worker, num_classes)
        self.teacher_optimizer = config.sgd.build(self.teacher.parameters())
        self.wrapped_teacher = worker.wrap(self.teacher)
        self.student = inputs.load_backdoored(worker, num_classes)
        self.student_optimizer = config.sgd.build(self.student.parameters())
        self.wrapped_student = worker.wrap(self.student)
        self.teacher_blocks = _distilled_blocks(self.teacher, len(config.betas))
        self.student_blocks = _distilled_blocks(self.student, len(config.betas))

    def run_teacher_epoch(self, number: int) -> Metrics:
        set_rate(self.teacher_optimizer, self._rate(number))
        metrics = self.phase.run_epoch(number, self.wrapped_teacher, self.teacher_optimizer)
        return {f"teacher_{name}": value for name, value in metrics.items()}

    def run_student_epoch(self, number: int) -> Metrics:
        set_rate(self.student_optimizer, self._rate(number))
        self.teacher.eval()
        self.wrapped_student.train()
        mean_loss = RunningMean(self.worker)
        mean_distance = RunningMean(self.worker)
        # The student goes on where the epochs of the teacher end.
        draw = self.config.teacher_epochs + number
        order_key = stream(self.seed, "nad", "order", draw)
        share = WorkerShare.of(self.worker)
        for batch in self.phase.data.epoch(order_key, self.config.batch_size, share):
            loss, distance = self._losses(batch, draw)
            take_step(loss + distance, self.student_optimizer)
            mean_loss.add(loss * len(batch.labels), len(batch.labels))
            mean_distance.add(distance * len(batch.labels), len(batch.labels))
        self.worker.synchronize(self.wrapped_student)
        return {"loss": mean_loss.value(), "attention_loss": mean_distance.value()}

    def _rate(self, number: int) -> float:
        return step_decay(self.config.sgd.learning_rate, number, self.config.milestones)

    def _losses(self, batch: ImageBatch, draw: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the cross-entropy of the student, and the weighted distance of attention."""
        images_BCHW = self.phase.view(draw)(batch.images, batch.index.numpy())
        with autocast(self.worker.device):
            with torch.no_grad(), RecordedOutputs(self.teacher_blocks) as of_teacher:
                self.teacher(images_BCHW)
            with RecordedOutputs(self.student_blocks) as of_student:
                _, logits_BN = self.wrapped_student(images_BCHW)
        loss = cross_entropy(logits_BN.float(), batch.labels)
        distance = torch.zeros_like(loss)
        pairs = zip(self.config.betas, of_student.outputs, of_teacher.outputs, strict=True)
        for beta, student_BCHW, teacher_BCHW in pairs:
            distance = distance + beta * attention_distance(
                student_BCHW, teacher_BCHW, self.config.power
            )
        return loss, distance


def _distilled_blocks(network: torch.nn.Module, num_blocks: int) -> list[torch.nn.Module]:
    blocks = last_blocks_of_stages(network)
    if len(blocks) < num_blocks:
        raise InputError(
            f"nad.betas has {num_blocks} weights, and the network has {len(blocks)} stages of "
            "residual blocks: give fewer"
        )
    return blocks[-num_blocks:]
