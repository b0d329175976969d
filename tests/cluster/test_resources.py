"""The resources on Ray are those of its nodes, and what the placement wants."""

from typing import Any

import pytest

from ray_defense.cluster.session import start_executor
from ray_defense.execution.placement import Placement
from ray_defense.execution.protocols import ClusterResources

pytestmark = pytest.mark.ray


def test_the_resources_are_what_the_nodes_have(local_ray: Any) -> None:
    num_cpus = int(local_ray.cluster_resources().get("CPU", 0))
    num_gpus = int(local_ray.cluster_resources().get("GPU", 0))
    assert start_executor("numpy").resources(1) == ClusterResources(
        num_nodes=1, num_cpus=num_cpus, num_gpus=num_gpus, num_actors=num_gpus or num_cpus
    )


def test_the_placement_says_how_many_actors_there_are(local_ray: Any) -> None:
    assert start_executor("numpy", Placement(actors=3)).resources(1).num_actors == 3
