"""The paper's, the authors' and our way as recipes: they differ in what they say alone."""

from dataclasses import replace

import pytest

from ray_defense.core.config import override
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.pipeline.recipes.variants import AS_THE_AUTHORS, AS_WE_WOULD


@pytest.mark.parametrize("suffix", ["", "_small"])
def test_the_three_ways_differ_in_what_they_name_alone(suffix):
    paper = named_recipe(f"paper{suffix}")
    for name, changes in (("authors", AS_THE_AUTHORS), ("ours", AS_WE_WOULD)):
        changed = paper
        for path, value in changes.items():
            changed = override(changed, path, value)
        assert named_recipe(f"{name}{suffix}") == replace(changed, name=f"{name}{suffix}")
        assert changed != paper


def test_the_papers_way_unlearns_in_every_round():
    for name in ("paper", "paper_small", "authors", "authors_small"):
        d_br = named_recipe(name).defenses[0]
        assert d_br.unlearn_above is None


def test_our_small_way_is_the_robust_recipe_so_that_they_share_artifacts():
    robust = named_recipe("cifar10_badnets_robust")
    assert replace(named_recipe("ours_small"), name=robust.name) == robust
