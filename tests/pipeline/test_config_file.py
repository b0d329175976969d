"""A recipe as a file: what is printed is read back, and what is hostile is refused in a line."""

import json
from pathlib import Path

import pytest
import yaml

from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import InputError
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.pipeline.config_file import MAX_BYTES, read_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import RECIPES

BY_HAND = """
name: mine
seed: 3
source: {kind: image_folder, path: /data/photos}
attack: badnets
probe:
  sgd: {learning_rate: 1e-3}
"""
DEMO = RECIPES["digits_badnets"]()


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump], ids=["json", "yaml"])
def test_a_file_of_a_recipe_is_the_recipe(tmp_path: Path, write):
    recipe = override(DEMO, "d_st.augmentation.flip", True)
    file = tmp_path / "recipe"
    file.write_text(write(to_plain(recipe)))
    assert read_recipe(file) == recipe


def test_yaml_by_hand_may_leave_out_what_has_a_default(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(BY_HAND)
    recipe = override(Recipe("mine", 3, ImageFolder("/data/photos")), "attack", "badnets")
    assert read_recipe(file) == override(recipe, "probe.sgd.learning_rate", 1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Recipe must be an object"),
        ("name: x\nsede: 1", "unknown configuration key (in Recipe) 'sede': did you mean 'seed'"),
        ('{"name": "x", "seed": 1, "seed": 2}', "the key 'seed' is there twice"),
        ("name: x\nseed: 1\nseed: 2", "the key 'seed' is there twice"),
        ("a: &a [1]\nb: [*a, *a]", "an alias of YAML"),
        ("name: !!python/object/apply:os.system ['true']", "neither JSON nor YAML"),
        ("name: [", "neither JSON nor YAML"),
        ('{"name": "x"', "Expecting"),
        ('{"name": "x", "seed": NaN}', "seed must be int"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("name: x\nseed: " + "9" * 5000, "digit"),
        ("#" * (MAX_BYTES + 1), "has more than"),
        (b"name: \xff", "utf-8"),
    ],
    ids=range(14),
)
def test_a_file_that_is_no_recipe_is_refused_in_one_short_line(
    tmp_path: Path, text: str | bytes, message: str
):
    file = tmp_path / "recipe.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as error:
        read_recipe(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1500


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read the configuration .*: Is a directory"):
        read_recipe(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        read_recipe(tmp_path / "none")
