"""A parameter outside its range is refused with its name, its value and the range."""

import pytest

from ray_defense.core.checks import check_at_least, check_distinct, check_in_range
from ray_defense.core.errors import InputError


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_a_value_inside_its_range_or_on_its_bounds_is_accepted(value: float):
    check_in_range("rate", value, 0, 1)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_value_outside_its_range_is_refused(value: float):
    with pytest.raises(InputError, match=r"^rate must lie in \[0, 1\], not ") as error:
        check_in_range("rate", value, 0, 1)
    assert str(error.value).endswith(repr(value))


@pytest.mark.parametrize("value", [2, 2.5, float("inf")])
def test_a_value_that_is_large_enough_is_accepted(value: float):
    check_at_least("epochs", value, 2)


@pytest.mark.parametrize("value", [1, 1.9, float("nan")])
def test_a_value_that_is_too_small_is_refused(value: float):
    with pytest.raises(InputError, match="^epochs must be at least 2, not ") as error:
        check_at_least("epochs", value, 2)
    assert str(error.value).endswith(repr(value))


def test_names_that_differ_are_accepted_and_a_name_given_twice_is_refused():
    check_distinct("defenses", ["d_br", "d_st"])
    with pytest.raises(InputError, match="^defenses holds d_br 2 times: name it once$"):
        check_distinct("defenses", ["d_br", "d_st", "d_br"])
