"""What a late stage would refuse after hours of training is refused before anything is made."""

from pathlib import Path
from typing import Any

import pytest

from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.targets import AllToOne
from ray_defense.core.config import override
from ray_defense.core.errors import InputError
from ray_defense.pipeline.validate import check_recipe
from tests.support import tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 training and 10 test digits."""
    folder = tmp_path_factory.mktemp("few")
    tiny.write_digits(folder, 60, 10)
    return folder


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("decide.flagged_fraction", 0.0, "flagged split would be empty"),
        ("decide.trusted_fraction", 0.001, "trusted split would be empty"),
        ("attack", BadNets(AllToOne(10)), "target"),
        ("decide", "evidence", "decide=evidence needs the column 'mirror'.*only fct"),
        ("d_br.workers.num_workers", 3, "multiple"),
        ("backdoored", None, "d_br repairs the backdoored model: .* --set d_br=none"),
    ],
)
def test_what_a_late_stage_would_refuse_is_refused_at_once(
    folder: Path, path: str, value: Any, message: str
):
    with pytest.raises(InputError, match=message):
        check_recipe(override(tiny.recipe(folder), path, value))


def test_a_recipe_that_can_run_is_accepted(folder: Path):
    check_recipe(tiny.recipe(folder))


def test_a_decision_that_counts_the_columns_at_hand_is_accepted(folder: Path):
    recipe = override(tiny.recipe(folder), "decide", "evidence")
    for path in ("grown", "one_sided"):
        recipe = override(recipe, f"decide.{path}", "()")
    recipe = override(recipe, "decide.antisymmetric", "fct")
    check_recipe(override(recipe, "decide.trusted_by", "fct"))


def test_a_part_of_the_split_that_no_defense_uses_may_be_empty(folder: Path):
    only_d_st = override(tiny.recipe(folder), "d_br", "none")
    check_recipe(override(only_d_st, "decide.flagged_fraction", 0.0))
    no_defense = override(tiny.recipe(folder), "defenses", "none")
    check_recipe(override(no_defense, "decide.trusted_fraction", 0.0))


def test_without_a_backdoored_model_a_defense_that_repairs_none_is_accepted(folder: Path):
    only_d_st = override(tiny.recipe(folder), "d_br", "none")
    check_recipe(override(only_d_st, "backdoored", "none"))
