"""Axes are read from text, and a grid has every combination of their values once."""

import pytest

from ray_defense.core.config import override
from ray_defense.core.errors import InputError
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.pipeline.recipes.paper_sweeps import PAPER_SWEEPS
from ray_defense.sweeps.grid import Axis, grid_trials, parse_axis, sampled_trials
from ray_defense.transforms import TRANSFORMS


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seed=0,1,2", ("0", "1", "2")),
        ("detect.fct.tau=rotate,affine;flip,flip", ("rotate,affine", "flip,flip")),
        ("d_br.steps=unlearn;relearn", ("unlearn", "relearn")),
        ("a.b=x", ("x",)),
    ],
)
def test_an_axis_is_read_at_commas_or_where_there_are_any_at_semicolons(
    text: str, values: tuple[str, ...]
):
    assert parse_axis(text) == Axis(text.split("=")[0], values)


@pytest.mark.parametrize("text", ["seed", "seed=", "=1,2", "seed=,", "seed=1,1"])
def test_what_is_no_axis_is_refused(text: str):
    with pytest.raises(InputError):
        parse_axis(text)


def test_all_pairs_are_every_ordered_pair_of_the_six_transforms():
    values = parse_axis("detect.fct.tau=all-pairs").values
    assert len(set(values)) == 36
    pairs = []
    for first in TRANSFORMS:
        for second in TRANSFORMS:
            pairs.append(f"{first},{second}")
    assert set(values) == set(pairs)


def test_a_grid_has_every_combination_once_with_its_values_in_its_recipe(base: Recipe):
    fractions = Axis("decide.trusted_fraction+decide.flagged_fraction", ("0.1", "0.2", "0.3"))
    trials = grid_trials(base, [Axis("seed", ("0", "1")), fractions])
    assert [trial.number for trial in trials] == list(range(6))
    values = []
    for trial in trials:
        decide = trial.recipe.decide
        values.append((trial.recipe.seed, decide.trusted_fraction, decide.flagged_fraction))
    assert values == [
        (0, 0.1, 0.1),
        (0, 0.2, 0.2),
        (0, 0.3, 0.3),
        (1, 0.1, 0.1),
        (1, 0.2, 0.2),
        (1, 0.3, 0.3),
    ]


def test_a_grid_of_an_unknown_field_of_no_axis_or_of_one_field_twice_is_refused(base: Recipe):
    with pytest.raises(InputError, match="did you mean 'trusted_fraction'"):
        grid_trials(base, [Axis("decide.trusted_fractio", ("0.1",))])
    for axes in ([], [Axis("seed", ("0",)), Axis("seed", ("1",))]):
        with pytest.raises(InputError):
            grid_trials(base, axes)


def test_a_sample_is_part_of_the_grid_drawn_by_its_seed(base: Recipe):
    axes = [Axis("seed", tuple(map(str, range(20))))]
    everything = grid_trials(base, axes)
    sample = sampled_trials(base, axes, 5, seed=1)
    assert len(sample) == 5
    assert set(sample) < set(everything)
    assert sample == sampled_trials(base, axes, 5, seed=1)
    assert sample != sampled_trials(base, axes, 5, seed=2)
    assert sampled_trials(base, axes, 99, seed=1) == everything


@pytest.mark.parametrize("name", PAPER_SWEEPS)
@pytest.mark.parametrize("recipe_name", ["digits_badnets", "cifar10_badnets"])
def test_a_named_sweep_fits_the_recipes(recipe_name: str, name: str):
    recipe = RECIPES[recipe_name]()
    for path, value in PAPER_SWEEPS[name].changes:
        recipe = override(recipe, path, value)
    trials = grid_trials(recipe, [parse_axis(text) for text in PAPER_SWEEPS[name].axes])
    assert len(trials) > 1
    assert len({trial.recipe for trial in trials}) == len(trials)
