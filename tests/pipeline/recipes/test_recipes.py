"""The named recipes: their names, and what they have in common."""

from dataclasses import replace

import pytest

from ray_defense.core.errors import InputError
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.pipeline.recipes import RECIPES, named_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_called_by_its_name_in_the_registry(name: str):
    assert named_recipe(name).name == name


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="unknown recipe 'digit_badnets': did you mean 'digits_b"):
        named_recipe("digit_badnets")


def test_the_demo_uses_one_model_shape_throughout():
    demo = named_recipe("digits_badnets")
    d_st = demo.defenses[1]
    assert d_st.name == "d_st"
    assert demo.probe.model == demo.backdoored.model == d_st.model == SmallResNet()


@pytest.mark.parametrize(
    ("name", "companions"),
    [
        ("cifar10_badnets_robust", 3),
        ("folder", 3),
        ("cifar10_badnets_small", 0),
        ("digits_blend", 0),
    ],
)
def test_d_br_unlearns_in_company_with_the_chosen_split_alone(name: str, companions: int):
    defenses = {defense.name: defense for defense in named_recipe(name).defenses}
    assert defenses["d_br"].companions == companions


def test_a_defense_or_a_detector_named_twice_is_refused():
    demo = named_recipe("digits_badnets")
    with pytest.raises(InputError, match="defenses holds d_br 2 times"):
        replace(demo, defenses=(*demo.defenses, demo.defenses[0]))
    with pytest.raises(InputError, match="detect.detectors holds fct 2 times"):
        replace(demo.detect, detectors=demo.detect.detectors * 2)
