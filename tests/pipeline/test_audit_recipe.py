"""What an audit chooses from the number and the size of the images."""

import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources.digits import Digits
from ray_defense.models.resnet18 import ResNet18
from ray_defense.models.torchvision_network import TorchvisionNetwork
from ray_defense.pipeline.audit_recipe import (
    FEW_SAMPLES,
    SIZES,
    AuditSettings,
    choose_halvings,
    choose_size,
    divide_overrides,
    plan_audit,
)
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.validate import check_recipe


def recipe_of(num_samples: int, side: int | None, settings: AuditSettings) -> Recipe:
    return plan_audit(Digits(), num_samples, side, settings).recipe


def test_images_become_no_smaller_than_they_are_until_the_largest_size() -> None:
    for side in range(1, 400):
        size = choose_size(side)
        assert size in SIZES
        assert size >= min(side, SIZES[-1])
        smaller = [other for other in SIZES if other < size]
        assert all(other < side for other in smaller)


def test_the_last_map_of_the_networks_is_never_larger_than_twice_that_of_a_small_image() -> None:
    for size in SIZES:
        after_stem = size // 2 ** choose_halvings(size)
        assert 16 <= after_stem <= 28


@pytest.mark.parametrize("quick", (False, True))
@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("num_samples", (100, FEW_SAMPLES - 1, FEW_SAMPLES, 1_000_000))
def test_every_choice_is_a_recipe_that_fits_itself_and_says_its_size(
    num_samples: int, side: int, quick: bool
) -> None:
    planned = plan_audit(Digits(), num_samples, side, AuditSettings(quick=quick))
    check_recipe(planned.recipe)
    assert planned.recipe.source.size == side
    assert f"{side} pixels" in planned.choices["size"]
    assert planned.recipe.defenses == ()
    assert planned.recipe.backdoored is None


def test_a_probe_of_few_images_is_trained_for_more_epochs_but_not_for_ever() -> None:
    epochs = []
    for num_samples in (100, 2000, 8000, 20_000, 1_000_000):
        epochs.append(recipe_of(num_samples, 32, AuditSettings()).probe.epochs)
    assert epochs == [40, 40, 10, 4, 4]


def test_what_the_user_decides_is_used_and_said() -> None:
    planned = plan_audit(Digits(), 9000, 500, AuditSettings(size=48, power=(20,), seed=5))
    assert planned.recipe.source.size == 48
    assert planned.recipe.seed == 5
    assert planned.recipe.canaries.sizes == (20,)
    assert planned.choices["size"] == "48 pixels a side (as asked for)"
    assert "power" not in planned.choices
    with pytest.raises(InputError):
        plan_audit(Digits(), 9000, 32, AuditSettings(size=4))


def test_the_network_that_is_asked_for_is_that_of_the_probe_alone() -> None:
    asked = AuditSettings(network=TorchvisionNetwork("resnet34"))
    planned = plan_audit(Digits(), 9000, 32, asked)
    assert planned.recipe.probe.model == TorchvisionNetwork("resnet34")
    assert planned.choices["probe"] == "torchvision:resnet34 (as asked for)"
    assert planned.recipe.detect == recipe_of(9000, 32, AuditSettings()).detect


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (AuditSettings(network=ResNet18(), quick=True), "leave --model or --quick out"),
        (
            AuditSettings(network=TorchvisionNetwork("mobilenet_v3_small")),
            "torchvision:mobilenet_v3_small has 0 residual blocks, and FCT reads the last 3",
        ),
    ],
)
def test_a_network_that_no_detector_can_read_is_refused_before_the_work(
    settings: AuditSettings, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan_audit(Digits(), 9000, 32, settings)


def test_overrides_go_to_the_audit_or_to_the_defense_by_the_field_they_begin_with() -> None:
    of_audit, of_defense = divide_overrides(
        {"probe.epochs": "4", "d_st.epochs": "3", "backdoored.epochs": "2", "detect.fct.draws": "1"}
    )
    assert set(of_audit) == {"probe.epochs", "detect.fct.draws"}
    assert set(of_defense) == {"d_st.epochs", "backdoored.epochs"}
