"""The paper's detector as a configuration: its draws and their reduction."""

import pickle

import numpy as np
import pytest

from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import InputError
from ray_defense.detectors.fct import Fct


@pytest.mark.parametrize("reduction", ["median", "", -0.1, 1.1, float("nan"), "nan"])
def test_another_reduction_is_refused(reduction):
    with pytest.raises(InputError, match="reduce"):
        Fct(reduce=reduction)


def test_no_draws_are_refused():
    with pytest.raises(InputError, match="draws"):
        Fct(draws=0)


def test_a_quantile_typed_as_text_is_the_number_in_the_configuration():
    typed = override(Fct(draws=8), "reduce", "0.1")
    assert typed == Fct(draws=8, reduce=0.1)
    assert typed == pickle.loads(pickle.dumps(typed))
    assert to_plain(typed) == {**to_plain(Fct()), "draws": 8, "reduce": 0.1}
    assert to_plain(typed)["kind"] == "fct"


def test_the_minimum_of_draws_is_the_smallest_distance():
    distances = np.array([[3.0, 1.0], [2.0, 5.0]])
    assert Fct(draws=2, reduce=0.0).score(distances).tolist() == [2.0, 1.0]
