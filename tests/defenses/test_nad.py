"""NAD: the student's first step by hand, which stages are distilled, and what is refused."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json
from ray_defense.losses.attention import attention_distance
from ray_defense.models.residual_blocks import RecordedOutputs, last_blocks_of_stages
from ray_defense.models.resnet18 import ResNet18
from ray_defense.models.seeded import build_model
from ray_defense.training.settings import Sgd
from ray_defense.transforms.no_augmentation import NoAugment
from tests.support.defended_noise import (
    BACKDOORED_SEED,
    DISTILLED,
    MODEL,
    NUM_CLASSES,
    NUM_CLEAN,
    weights_of,
)


def test_the_student_steps_down_cross_entropy_and_distance_to_its_teacher(noise):
    """Parity: one step of the teacher, then one of the student, by hand."""
    rate = 0.05
    betas = (3.0, 50.0, 20.0)
    defense = replace(
        DISTILLED,
        epochs=1,
        batch_size=NUM_CLEAN,
        sgd=Sgd(rate, momentum=0.0, weight_decay=0.0),
        betas=betas,
    )
    artifact = replace(noise, augmentation=NoAugment()).train(defense)
    images, labels = noise.clean_members()
    teacher = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED).train()
    _, logits = teacher(images)
    cross_entropy(logits, labels).backward()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter -= rate * parameter.grad
    teacher.eval()
    student = build_model(MODEL, NUM_CLASSES, BACKDOORED_SEED).train()
    with torch.no_grad(), RecordedOutputs(last_blocks_of_stages(teacher)) as of_teacher:
        teacher(images)
    with RecordedOutputs(last_blocks_of_stages(student)) as of_student:
        _, logits = student(images)
    loss = cross_entropy(logits, labels)
    distance = torch.zeros(())
    for beta, a, b in zip(betas, of_student.outputs, of_teacher.outputs, strict=True):
        distance = distance + beta * attention_distance(a, b)
    (loss + distance).backward()
    trained = weights_of(artifact)
    for name, parameter in student.named_parameters():
        expected = parameter - rate * parameter.grad
        assert torch.allclose(trained[name], expected, atol=1e-5), name
    last = read_json(artifact.path / "metrics.json")["history"][-1]
    assert last["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert last["attention_loss"] == pytest.approx(distance.item(), rel=1e-3)


def test_a_stage_ends_where_the_number_of_channels_changes():
    small = last_blocks_of_stages(build_model(MODEL, NUM_CLASSES, 0))
    assert [block.bn2.num_features for block in small] == [8, 16, 32]
    large = build_model(ResNet18(), NUM_CLASSES, 0)
    blocks = last_blocks_of_stages(large)
    assert [block.bn2.num_features for block in blocks] == [64, 128, 256, 512]
    assert blocks[0] is large.extractor.layer1[1]


def test_more_weights_than_stages_are_refused(noise):
    with pytest.raises(InputError, match="nad.betas has 4 weights, and the network has 3 stages"):
        noise.train(replace(DISTILLED, betas=(1.0, 1.0, 1.0, 1.0)))
    with pytest.raises(InputError, match="nad.betas must hold a weight or more"):
        replace(DISTILLED, betas=())
