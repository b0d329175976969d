"""Floor 5, the only package that imports ray: the executor, and shards as a Ray dataset."""

from ray_defense.cluster import environment  # noqa: F401, I001  (sets what ray reads when it is imported)
from ray_defense.cluster.datasets import read_shards
from ray_defense.cluster.executor import RayExecutor

__all__ = ["RayExecutor", "read_shards"]
