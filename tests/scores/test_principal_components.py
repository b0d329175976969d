"""The two directions in which features vary most."""

import numpy as np

from ray_defense.scores.principal_components import principal_components


def test_coordinates_are_those_along_the_longest_axes_of_an_ellipsoid() -> None:
    draw = np.random.default_rng(0)
    long_M = draw.normal(size=500) * 9
    middle_M = draw.normal(size=500) * 3
    features_MD = np.stack((0.1 * draw.normal(size=500), middle_M, long_M + 40), axis=1)
    points_M2 = principal_components(features_MD.astype(np.float32))
    assert abs(np.corrcoef(points_M2[:, 0], long_M)[0, 1]) > 0.999
    assert abs(np.corrcoef(points_M2[:, 1], middle_M)[0, 1]) > 0.999
    np.testing.assert_allclose(points_M2.mean(axis=0), 0, atol=1e-6)


def test_features_turned_around_give_the_same_picture_turned_around() -> None:
    features_MD = np.random.default_rng(1).normal(size=(50, 4)) * [1, 2, 3, 4]
    points_M2 = principal_components(features_MD)
    np.testing.assert_allclose(principal_components(-features_MD), -points_M2, atol=1e-9)
    np.testing.assert_array_equal(principal_components(features_MD.copy()), points_M2)


def test_features_that_do_not_vary_lie_at_one_point() -> None:
    np.testing.assert_array_equal(principal_components(np.ones((5, 3))), np.zeros((5, 2)))
