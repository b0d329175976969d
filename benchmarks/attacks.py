"""Every attack on one recipe: does it bite, and where does FCT find it? ACC and ASR of the backdoored model beside a
clean one's, AUROC after cross-entropy and after each epoch of L_intra, and the signs that need no truth.

    python benchmarks/attacks.py cifar10_badnets_small --attack sig --attack clean_label
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import record

from ray_defense.api import make_executor
from ray_defense.attacks import ATTACKS
from ray_defense.core.config import override, to_plain
from ray_defense.core.errors import look_up
from ray_defense.core.files import read_json
from ray_defense.pipeline import pipeline
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.pipeline.recipes import recipe as named
from ray_defense.stages import backdoored as backdoor
from ray_defense.stages import evaluation as evaluate
from ray_defense.stages import ingest as shard
from ray_defense.stages import poison, probe
from ray_defense.stages.attacker import prepare as attacker
from ray_defense.stages.context import Context, train_missing
from ray_defense.store.artifacts import Store
from ray_defense.studies import score_trace as trace


def measure_clean(recipe: Recipe, context: Context) -> dict[str, Any]:
    """Returns the rates of the model that `recipe.backdoor` trains where nobody poisoned anything."""
    clean = shard.run(recipe.shard, recipe.source, context)
    job = backdoor.job(recipe.backdoor, clean, context)
    train_missing(context, [job])
    models = {"clean": (recipe.backdoor.model, job.artifact)}
    found = evaluate.run(recipe.evaluate, clean, None, models, recipe.source, None, context)
    return read_json(found.path / "evaluation.json")["clean"]


def measure_bite(recipe: Recipe, context: Context) -> dict[str, Any]:
    """Returns what one attack does to the backdoored model."""
    armed = attacker.make(recipe.attack, recipe.attacker, recipe.shard, recipe.source, context)
    suspect = poison.run(recipe.poison, recipe.shard, recipe.source, armed, context)
    trained = backdoor.job(recipe.backdoor, suspect, context)
    train_missing(context, [trained])
    models = {"backdoored": (recipe.backdoor.model, trained.artifact)}
    found = evaluate.run(recipe.evaluate, suspect, None, models, recipe.source, armed, context)
    made = armed.material and armed.material.artifact.path / "metrics.json"
    metrics = read_json(made) if made and made.is_file() else {}
    return {
        **read_json(found.path / "evaluation.json"),
        "material": {name: value for name, value in metrics.items() if name != "history"},
    }


def measure_trace(recipe: Recipe, context: Context) -> dict[str, Any]:
    """Returns the trace of the scores of one attack: what needs no truth, and what does."""
    suspect = pipeline.make_suspect(recipe, context)
    probed = probe.job(recipe.probe, suspect, context)
    train_missing(context, [probed])
    traced = trace.run(recipe.score, recipe.split, suspect, probed.artifact, recipe.probe.model, context)
    judged = evaluate.judge_trace(traced, suspect, recipe.split, context)
    signs = read_json(traced.path / "signs.json")
    return {"trace": [sign | truth for sign, truth in zip(signs, judged, strict=True)]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--attack", action="append", help="default: all")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--store", default="store-attacks", help="kept: surrogate and encoder are shared by attacks")
    parser.add_argument("--executor", default="ray")
    parser.add_argument("--tag", default="", help="-NAME, added to the results' names: for settings other than the recipe's")
    parser.add_argument("--bite-only", action="store_true", help="no trace of the score, no clean model")
    arguments = parser.parse_args()
    executor = make_executor(arguments.executor)
    for name in arguments.attack or ATTACKS:
        base = named(arguments.recipe)
        base = replace(base, attack=look_up(ATTACKS, "attack", name)(), probe=replace(base.probe, keep_epochs=True))
        for assignment in arguments.set:
            base = override(base, *assignment.split("=", 1))
        context = Context(Store(Path(arguments.store)), executor, base.seed, base.normalization)
        start = time.perf_counter()
        figures = measure_bite(base, context) | {"config": to_plain(base)}
        if not arguments.bite_only:
            figures |= measure_trace(base, context) | {"clean": measure_clean(base, context)}
        figures |= {
            "attack": name,
            "changed": ", ".join(arguments.set),
            "executor": arguments.executor,
            "wall_s": round(time.perf_counter() - start, 1),
        }
        print(record(f"attack_{arguments.recipe}_{name}{arguments.tag}_seed{base.seed}", figures))
    executor.close()
