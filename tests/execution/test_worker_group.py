"""A group without workers, threads or memory is refused."""

import pytest

from ray_defense.core.errors import InputError
from ray_defense.execution.worker_group import WorkerGroup


@pytest.mark.parametrize(
    "values", [{"num_workers": 0}, {"cpus_per_worker": 0}, {"resident_bytes": -1}]
)
def test_a_group_out_of_range_is_refused(values):
    with pytest.raises(InputError, match="must be at least"):
        WorkerGroup(**values)
