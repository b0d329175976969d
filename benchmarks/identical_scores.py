"""The same bytes of scores six ways: one and two Ray actors and this process, each through FFCV and through NumPy.

python benchmarks/identical_scores.py
"""

import tempfile
from itertools import product
from pathlib import Path

from machine import record

from ray_defense.cluster import RayExecutor
from ray_defense.core.local import LocalExecutor
from ray_defense.core.store import Store
from ray_defense.recipes import digits_badnets
from ray_defense.stages import poison, probe, score
from ray_defense.stages.context import Context, train_missing
from ray_defense.stages.material import Armed


def measure() -> dict[str, object]:
    """Returns the SHA-256 of scores.parquet for every way; suspect dataset and probe are made once."""
    recipe, hashes = digits_badnets(), {}
    with tempfile.TemporaryDirectory() as folder:

        def place(executor, name: str) -> Context:
            return Context(Store(Path(folder) / name), executor, recipe.seed, recipe.normalization)

        first = place(LocalExecutor("numpy"), "first")
        suspect = poison.run(recipe.poison, recipe.shard, recipe.source, Armed(recipe.attack), first)
        job = probe.job(recipe.probe, suspect, first)
        train_missing(first, [job])
        keeper = RayExecutor("numpy")
        for (way, actors), backend in product((("local", None), ("ray", 1), ("ray", 2)), ("ffcv", "numpy")):
            executor = LocalExecutor(backend) if actors is None else RayExecutor(backend, actors)
            name = f"{way}, {actors or 'no'} actors, {backend}"
            scores = score.run(recipe.score, suspect, job.artifact, recipe.probe.model, place(executor, name.replace(" ", "")))
            hashes[name] = scores.hashes["scores.parquet"]
        keeper.close()
    return {"recipe": recipe.name, "sha256": hashes, "identical": len(set(hashes.values())) == 1}


if __name__ == "__main__":
    print(record("identical_scores", measure()))
