"""The Trojan patch of a surrogate: it drives its neurons, and is the same when made again."""

from dataclasses import replace

import numpy as np
import pytest

from ray_defense.attacks.trojan import Trojan, patch_slices
from ray_defense.core.files import read_json
from ray_defense.data.sources.digits import Digits
from ray_defense.execution.steps import Step
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import save_weights
from ray_defense.stages.attacker.picture import picture_asset
from ray_defense.stages.attacker.trojan_patch import NUM_CANVAS, draw_canvas, trojan_patch_step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.store.artifacts import Artifact, Store
from tests.support.steps import make_step, plan_context, publish_step

MODEL = SmallResNet(width=8)
ATTACK = Trojan()


@pytest.fixture(scope="module")
def context(tmp_path_factory) -> PlanContext:
    return plan_context(tmp_path_factory.mktemp("trojan"))


@pytest.fixture(scope="module")
def clean(context) -> Step:
    step = ingest_step(IngestConfig(), Digits(size=16), context)
    make_step(step, context)
    return step


def make_patch(context: PlanContext, clean: Step) -> Artifact:
    """Returns the patch of a surrogate of random weights."""

    def fill(directory):
        save_weights(directory / WEIGHTS, build_model(MODEL, 10, 1))

    surrogate = publish_step(context, "surrogate", fill)
    step = trojan_patch_step(ATTACK, MODEL, 10, surrogate=surrogate, clean=clean, context=context)
    return make_step(step, context)


@pytest.fixture(scope="module")
def patch(context, clean) -> Artifact:
    return make_patch(context, clean)


def test_the_patch_drives_its_neurons_and_is_black_elsewhere(patch):
    metrics = read_json(patch.path / "metrics.json")
    assert len(metrics["neurons"]) == ATTACK.neurons
    assert metrics["activation_after"] > metrics["activation_before"]
    pattern = picture_asset(patch).load()
    rows, columns = patch_slices(16, 16)
    assert pattern.shape == (16, 16, 3)
    assert pattern[rows, columns].any()
    pattern = pattern.copy()
    pattern[rows, columns] = 0
    assert not pattern.any()


def test_the_patch_is_the_same_when_made_again(patch, context, clean, tmp_path):
    elsewhere = replace(context, store=Store(tmp_path))
    assert make_patch(elsewhere, clean).hashes == patch.hashes


def test_the_canvas_is_drawn_by_the_seed(clean):
    canvas = draw_canvas(clean.artifact, 0)
    assert canvas.shape == (NUM_CANVAS, 16, 16, 3)
    assert np.array_equal(canvas, draw_canvas(clean.artifact, 0))
    assert not np.array_equal(canvas, draw_canvas(clean.artifact, 1))
