"""source, attacks --check--> which attacks work: ACC and ASR of a model trained on what each of them poisoned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ray_defense.attacks import Attack
from ray_defense.core.errors import Refused
from ray_defense.core.files import json_bytes, read_json
from ray_defense.core.random import stream
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.execution.protocols import Executor, TrainJob
from ray_defense.pipeline import pipeline
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.reports.result import ModelResult
from ray_defense.stages import backdoored as backdoor
from ray_defense.stages import evaluation as evaluate
from ray_defense.stages import ingest as shard
from ray_defense.stages import poison
from ray_defense.stages.attacker import prepare as attacker
from ray_defense.stages.attacker.eligible import eligible
from ray_defense.stages.attacker.material import Armed
from ray_defense.stages.context import Context, train_missing
from ray_defense.store.artifacts import Artifact, Store


@dataclass(frozen=True)
class Checked:
    """One attack: what it did to a model's ACC, and its ASR; or why it was refused."""

    attack: str
    in_paper: bool
    refused: str | None = None  # the reason; there are no numbers then
    num_poisoned: int = 0
    num_cover: int = 0
    backdoored: ModelResult | None = None
    clean: ModelResult | None = None  # the same for all attacks
    acc_change: float | None = None  # backdoored minus clean, a fraction
    weak: bool | None = None  # ASR under 85 %: the paper's tables leave the attack out


@dataclass(frozen=True)
class Case:
    """A dataset to train on: what one attack poisoned, or the source itself."""

    armed: Armed | None
    suspect: Artifact
    job: TrainJob


def bare(recipe: Recipe) -> Recipe:
    """Returns the recipe without attack and defenses; raises Refused for what would be refused with any attack."""
    if recipe.backdoor is None:
        raise Refused("backdoor is none: an attack is checked by the model that backdoor trains; leave --set backdoor=none out")
    recipe = replace(recipe, attack=None, d_br=None, d_st=None)
    pipeline.check(recipe)
    return recipe


def run(recipe: Recipe, attacks: Sequence[Attack], store: Store, executor: Executor) -> tuple[Checked, ...]:
    """Does what is missing in `store` and returns one row an attack, in order, also written to `attacks.json` there.

    The recipe's own attack and defenses do not matter. What one attack is refused for stands in its row; raises Refused
    for what concerns them all.
    """
    recipe, attacks = bare(recipe), tuple(dict.fromkeys(attacks))
    context = Context(store, executor, recipe.seed, recipe.normalization)
    tried = {attack: _poison(replace(recipe, attack=attack), context) for attack in attacks}
    rows = {attack: Checked(attack.name, attack.in_paper, why) for attack, why in tried.items() if isinstance(why, str)}
    cases = {attack: case for attack, case in tried.items() if isinstance(case, Case)}
    if cases:
        itself = shard.run(recipe.shard, recipe.source, context)
        clean = Case(None, itself, backdoor.job(recipe.backdoor, itself, context))
        train_missing(context, [clean.job, *(case.job for case in cases.values())])
        _, reference = _measure(recipe, clean, context)
        rows |= {attack: _row(recipe, attack, case, reference, context) for attack, case in cases.items()}
    checked = tuple(rows[attack] for attack in attacks)
    store.keep("attacks.json", json_bytes({"recipe": recipe.name, "seed": recipe.seed, "attacks": checked}))
    return checked


def _poison(recipe: Recipe, context: Context) -> Case | str:
    """Returns what the recipe's attack made, or why it was refused."""
    try:
        pipeline.check(recipe)
        armed = attacker.make(recipe.attack, recipe.attacker, recipe.shard, recipe.source, context)
        suspect = poison.run(recipe.poison, recipe.shard, recipe.source, armed, context)
    except Refused as error:
        return str(error)
    return Case(armed, suspect, backdoor.job(recipe.backdoor, suspect, context))


def _measure(recipe: Recipe, case: Case, context: Context) -> tuple[bool | None, ModelResult]:
    """Returns whether the attack is weak, and the rates of the model trained on the case."""
    models = {"backdoored": (recipe.backdoor.model, case.job.artifact)}
    found = evaluate.run(recipe.evaluate, case.suspect, None, models, recipe.source, case.armed, context)
    plain: dict[str, Any] = read_json(found.path / "evaluation.json")
    return plain.get("weak_attack"), ModelResult(**plain["backdoored"])


def _row(recipe: Recipe, attack: Attack, case: Case, clean: ModelResult, context: Context) -> Checked:
    weak, model = _measure(recipe, case, context)
    num_poisoned, num_cover = _counts(recipe, attack, case.suspect)
    measured = model.acc is not None and clean.acc is not None
    change = model.acc - clean.acc if measured else None
    return Checked(attack.name, attack.in_paper, None, num_poisoned, num_cover, model, clean, change, weak)


def _counts(recipe: Recipe, attack: Attack, suspect: Artifact) -> tuple[int, int]:
    """Returns how many samples of `suspect` were poisoned and how many cover; those rejected are in neither."""
    key = stream(recipe.seed, "poison")
    accepted = ShardSet(suspect.path).index
    chosen = poison.choose(eligible(attack, recipe.source), recipe.poison.rate, attack.aim.cover_ratio, key)
    num_poisoned, num_cover = (int(np.isin(accepted, samples).sum()) for samples in chosen)
    return num_poisoned, num_cover
