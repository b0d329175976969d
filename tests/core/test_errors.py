"""Errors name what was wrong, the value and the remedy, and survive pickling."""

import pickle

import pytest

from ray_defense.core.errors import InputError, RayDefenseError, RunError, look_up, unknown_name

ERRORS = [
    InputError("x must be 1, not 2"),
    RunError("no"),
    unknown_name("key", "epoch", ["epochs"]),
    unknown_name("key", 3, ["a"]),
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_survives_pickling(error: RayDefenseError):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.exit_code == error.exit_code


def test_refused_input_and_unfinished_work_have_different_exit_codes():
    assert InputError("").exit_code == 2
    assert RunError("").exit_code == 3


def test_an_unknown_name_is_refused_with_the_nearest_or_all():
    with pytest.raises(InputError, match="unknown attack 'badnet': did you mean 'badnets'"):
        look_up({"badnets": 1, "sig": 2}, "attack", "badnet")
    with pytest.raises(InputError, match="known: badnets, sig"):
        look_up({"sig": 2, "badnets": 1}, "attack", "zzz")
    with pytest.raises(InputError, match="unknown attack None"):
        look_up({"badnets": 1}, "attack", None)


def test_a_known_name_gives_what_is_registered_under_it():
    assert look_up({"badnets": 1, "sig": 2}, "attack", "sig") == 2
