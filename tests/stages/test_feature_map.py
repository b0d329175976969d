"""The map of a probe's features: which samples are in it, and that it is the same every time."""

from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.random import stream
from ray_defense.data.split_table import read_split
from ray_defense.data.table_file import read_table
from ray_defense.execution.steps import make_steps
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.run import plan_feature_map, run_plan
from ray_defense.scores.neighbor_map import neighbor_map
from ray_defense.scores.principal_components import principal_components
from ray_defense.stages import feature_map
from ray_defense.stages.feature_map import FEATURE_MAP_FILE, FeatureMapInputs, read_features
from ray_defense.store.artifacts import Store
from tests.support import blobs
from tests.support.audits import small_recipe
from tests.support.steps import local_executor

NUM_PICTURES = 40


def test_the_map_holds_the_flagged_and_a_draw_of_the_others_and_its_bytes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_map, "MAX_POINTS", 30)
    index = np.arange(NUM_PICTURES)
    source = blobs.write_pictures(
        tmp_path / "train.parquet", blobs.draw_blobs(index), blobs.labels_of(index)
    )
    recipe = small_recipe(source)
    store = Store(tmp_path / "store")
    plan = run_plan(plan_recipe(recipe, store), local_executor(), "split")
    step = plan_feature_map(plan)
    assert step is not None
    make_steps([step], store, local_executor())
    table = read_table(step.artifact.path / FEATURE_MAP_FILE)
    mapped = table["index"].to_numpy()
    flagged = read_split(plan.split.artifact.path).members("flagged")
    assert len(mapped) == 30
    assert len(flagged) == 10
    assert set(flagged) < set(mapped)
    assert (np.diff(mapped) > 0).all()
    # Parity: the features of the same samples, read again, all at once.
    probe = plan.detection.steps["probe"].artifact
    features_MD = read_features(
        FeatureMapInputs(
            network=recipe.probe.model,
            weights=probe.path / "model.safetensors",
            suspect=plan.dataset.step.artifact.path,
            normalization=recipe.normalization,
            index=mapped,
        )
    )
    assert features_MD.shape == (30, 32)
    points_M2 = np.stack((table["x"].to_numpy(), table["y"].to_numpy()), axis=1)
    np.testing.assert_array_equal(points_M2, principal_components(features_MD))
    places_M2 = np.stack((table["tsne_x"].to_numpy(), table["tsne_y"].to_numpy()), axis=1)
    seed = stream(recipe.seed, "feature_map", "neighbors")
    np.testing.assert_allclose(places_M2, neighbor_map(features_MD, seed))
