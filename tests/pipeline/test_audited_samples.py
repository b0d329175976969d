"""What an audit says of each sample."""

import numpy as np

from ray_defense.pipeline.audited_samples import sign_p_values


def test_the_p_value_counts_the_negative_tail_as_a_loop_does() -> None:
    generator = np.random.default_rng(3)
    statistics = np.round(generator.normal(size=200), 1)  # with ties
    p_values = sign_p_values(statistics)
    for position, value in enumerate(statistics):
        num_below = 0
        for other in statistics:
            if other <= -value:
                num_below += 1
        assert p_values[position] == (1 + num_below) / 201


def test_p_values_of_symmetric_statistics_are_uniform_or_larger() -> None:
    statistics = np.random.default_rng(4).normal(size=20_000)
    p_values = sign_p_values(statistics)
    for level in (0.01, 0.1, 0.5):
        assert abs((p_values <= level).mean() - level) < 0.02
