"""The weak-scaling plan says what the code does: its steps, blocks and bytes are those of the real thing."""

import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ray_defense.core.files import read_json
from ray_defense.data.suspect_dataset import write_manifest, write_shard
from ray_defense.data.training_set import Share, TrainingSet
from ray_defense.stages import detect as score

ROOT = Path(__file__).resolve().parent.parent
PLAN = ROOT / "deploy" / "scaling.md"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


def test_the_tables_of_the_plan_are_what_the_results_say(load):
    tables, text = load("tables"), PLAN.read_text()
    assert tables.render(text, tables.SCALING_TABLES) == text
    assert sorted(re.findall(r"<!-- table:(\w+) -->", text)) == sorted(tables.SCALING_TABLES)


def test_links_of_the_plan_lead_somewhere():
    targets = re.findall(r"\]\(([^)]+)\)", PLAN.read_text())
    assert targets and all((PLAN.parent / target).exists() for target in targets)


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("gpus", [1, 2, 3, 7])
@pytest.mark.parametrize("drop_last", [True, False])
def test_an_epoch_has_the_steps_of_a_training_set(load, tmp_path, monkeypatch, resident, gpus, drop_last):
    model, images = load("scaling_model"), np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3), np.uint8)
    index = np.arange(120)
    cuts = [slice(low, low + 40) for low in range(0, 120, 40)]
    parts = [write_shard(tmp_path, i, images[cut], index[cut] % 10, index[cut], ["x"] * 40) for i, cut in enumerate(cuts)]
    write_manifest(tmp_path, parts)
    real = TrainingSet(tmp_path, torch.device("cpu"), "numpy", 1 << 30 if resident else 0)
    monkeypatch.setattr(model.Data, "streams", lambda self, samples: not resident)
    recipe = SimpleNamespace(shard=SimpleNamespace(shard_size=40, jpeg_quality=None))
    data = model.Data("of 120", recipe, 10, 8, 120, 0, 1)
    planned = data.steps(120, 5, gpus, drop_last)
    assert planned == real.num_steps(5 * gpus, Share(0, gpus), drop_last)
    batches = [real.epoch(0, 5 * gpus, Share(rank, gpus), drop_last) for rank in range(gpus)]
    seen = np.concatenate([batch.index for ranks in batches for batch in ranks])
    assert len(seen) == len(np.unique(seen)) and 120 - len(seen) >= 120 * data.left_out(120, gpus)


@pytest.mark.parametrize("which", [0, 1])
def test_scoring_has_the_blocks_of_the_plan(load, which):
    model = load("scaling_model")
    data = model.datasets()[which]
    shard = np.arange(data.samples) // data.recipe.shard.shard_size
    assert model.blocks(data) == len(score.plan(SimpleNamespace(shard=shard), data.recipe.score.block_size))


def test_a_checkpoint_has_the_bytes_of_the_measured_one(load):
    model = load("scaling_model")
    data = model.datasets()[0]
    backdoored = next(stage for stage in model.stages(data) if stage.name == "backdoored")
    found = read_json(ROOT / "results" / "scaling_constants.json")["checkpoint"]["bytes"]
    assert model.epoch(data, backdoored, 1).checkpoint == pytest.approx(found, rel=2e-3)


def test_one_gpu_sends_nothing_and_many_send_at_most_twice_the_gradient(load):
    model = load("scaling_model")
    for data in model.datasets():
        for stage in model.stages(data):
            alone, many = (model.epoch(data, stage, gpus) for gpus in (1, 64))
            assert alone.reduced == alone.gathered == alone.seconds["network"] == 0
            assert 1.9 * 4 * stage.network.trained < many.reduced < 2 * 4 * stage.network.trained
            assert many.seconds["network"] > 0
