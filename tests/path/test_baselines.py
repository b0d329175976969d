"""Every baseline on the whole path, for an epoch or two, on 256 real images."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from ray_defense import api
from ray_defense.defenses import DEFENSES
from ray_defense.defenses.abl import AntiBackdoorLearning
from ray_defense.defenses.anp import NeuronPruning
from ray_defense.defenses.dbd import Decoupling
from ray_defense.defenses.ft import FineTuning
from ray_defense.defenses.mcr import ModeConnectivityRepair
from ray_defense.defenses.nad import AttentionDistillation
from ray_defense.defenses.simclr import SimClr
from ray_defense.defenses.supcon import SupCon
from ray_defense.execution.worker_group import WorkerGroup
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.stages.clean_share import CleanShareConfig
from tests.support import tiny

ONE = WorkerGroup(cpus_per_worker=1)
NET = SmallResNet()
BASELINES = (
    FineTuning(epochs=1, batch_size=16, workers=ONE),
    NeuronPruning(steps=3, batch_size=16, threshold_step=0.25, workers=ONE),
    AttentionDistillation(teacher_epochs=1, epochs=1, batch_size=16, workers=ONE),
    ModeConnectivityRepair(end_epochs=1, curve_epochs=1, batch_size=16, workers=ONE),
    AntiBackdoorLearning(
        NET, tuning_epochs=1, finetuning_epochs=1, unlearning_epochs=1, workers=ONE
    ),
    SimClr(NET, epochs=1, batch_size=64, classifier_epochs=1, workers=ONE),
    SupCon(NET, epochs=1, batch_size=64, classifier_epochs=1, workers=ONE),
    Decoupling(
        NET,
        epochs=1,
        batch_size=64,
        classifier_epochs=1,
        mixmatch_epochs=1,
        mixmatch_steps=2,
        mixmatch_batch_size=16,
        workers=ONE,
    ),
)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    tiny.write_digits(tmp_path)
    return tmp_path


@pytest.mark.long
def test_every_baseline_runs_from_source_to_table(digits: Path):
    recipe = replace(tiny.recipe(digits), defenses=BASELINES, clean=CleanShareConfig(fraction=0.1))
    store = digits / "store"
    result = api.run(recipe, store=store, executor="local", backend="numpy")
    names = [defense.name for defense in BASELINES]
    assert set(result.models) == {"backdoored", *names}
    assert set(DEFENSES) == {"d_br", "d_st", *names}
    for name in names:
        model = result.models[name]
        assert model.title == DEFENSES[name].title
        for rate in (model.acc, model.asr):
            assert rate is not None
            assert math.isfinite(rate)
    assert "clean_share" in result.artifacts


def test_the_recipe_of_baselines_holds_every_one_of_them():
    recipe = named_recipe("digits_baselines")
    names = [defense.name for defense in recipe.defenses]
    assert names == [name for name in DEFENSES if name not in ("d_br", "d_st")]
