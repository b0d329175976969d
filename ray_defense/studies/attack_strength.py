"""source, attacks --check--> ACC and ASR of a model trained on what each attack poisoned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ray_defense.attacks.protocol import Attack
from ray_defense.core.errors import InputError
from ray_defense.core.files import json_bytes
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import Step, make_steps
from ray_defense.pipeline.plan import PlannedDataset, plan_dataset
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.validate import check_recipe
from ray_defense.reports.result import ModelResult
from ray_defense.stages.backdoored import BACKDOORED, BACKDOORED_TITLE, backdoored_step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.evaluation import TrainedModel, evaluation_step
from ray_defense.stages.ingest import ingest_step
from ray_defense.store.artifacts import Store
from ray_defense.store.checked_files import read_checked_json

RESULT_FILE = "attacks.json"


@dataclass(frozen=True)
class AttackStrength:
    """One attack: what it did to a model's ACC, and its ASR; or why it was refused."""

    attack: str
    in_paper: bool
    refused: str | None = None  # the reason; there are no numbers then
    num_poisoned: int = 0  # accepted samples
    num_cover: int = 0
    backdoored: ModelResult | None = None
    clean: ModelResult | None = None  # the same for all attacks
    acc_change: float | None = None  # backdoored minus clean, a fraction
    weak: bool | None = None  # ASR under 85 %: the paper's tables leave the attack out


@dataclass(frozen=True)
class _Trained:
    """A dataset, the model trained on it, and the model's evaluation."""

    model: Step
    evaluation: Step


def without_attack(recipe: Recipe) -> Recipe:
    """Returns the recipe without attack and defenses.

    Raises:
        InputError: For what would be refused with any attack.
    """
    if recipe.backdoored is None:
        raise InputError(
            "backdoored is none: an attack is checked by the model that backdoored trains; "
            "leave --set backdoored=none out"
        )
    bare = replace(recipe, attack=None, defenses=())
    check_recipe(bare)
    return bare


def measure_attacks(
    recipe: Recipe, attacks: Sequence[Attack], store: Store, executor: Executor
) -> tuple[AttackStrength, ...]:
    """Measures how strong attacks are; the rows are also written to `attacks.json` in the store.

    Args:
        recipe: What everything but the attack is taken from; its defenses do not matter.
        attacks: The attacks; one given twice is measured once.
        store: Where results are kept.
        executor: Who does the work.

    Returns:
        One row for each attack, in order. An attack that is refused says why in its row.

    Raises:
        InputError: For what concerns all attacks.
    """
    recipe = without_attack(recipe)
    context = PlanContext(store, recipe.seed, recipe.normalization)
    rows: dict[Attack, AttackStrength] = {}
    trained: dict[Attack, _Trained] = {}
    for attack in dict.fromkeys(attacks):
        try:
            dataset = _poison(replace(recipe, attack=attack), context, executor)
        except InputError as error:
            rows[attack] = AttackStrength(attack.name, attack.in_paper, refused=str(error))
        else:
            trained[attack] = _plan_model(recipe, dataset, context)
    if trained:
        itself = PlannedDataset(ingest_step(recipe.ingest, recipe.source, context))
        clean = _plan_model(recipe, itself, context)
        models = [clean.model, *(of_attack.model for of_attack in trained.values())]
        make_steps(models, store, executor)
        clean_rates = _read_rates(clean, store, executor)
        for attack, of_attack in trained.items():
            rows[attack] = _row(attack, _read_evaluation(of_attack, store, executor), clean_rates)
    measured = tuple(rows[attack] for attack in dict.fromkeys(attacks))
    result = {"recipe": recipe.name, "seed": recipe.seed, "attacks": measured}
    store.write_file(RESULT_FILE, json_bytes(result))
    return measured


def _poison(recipe: Recipe, context: PlanContext, executor: Executor) -> PlannedDataset:
    """Makes and returns the dataset that the recipe's attack poisons."""
    check_recipe(recipe)
    dataset = plan_dataset(recipe, context)
    make_steps([dataset.step], context.store, executor)
    return dataset


def _plan_model(recipe: Recipe, dataset: PlannedDataset, context: PlanContext) -> _Trained:
    assert recipe.backdoored is not None
    model = backdoored_step(recipe.backdoored, dataset.step, context)
    evaluation = evaluation_step(
        recipe.evaluation,
        dataset.step,
        None,
        models={BACKDOORED: TrainedModel(model, recipe.backdoored.model, BACKDOORED_TITLE)},
        source=recipe.source,
        attack=dataset.attack,
        asset=dataset.asset,
        context=context,
    )
    return _Trained(model, evaluation)


def _read_evaluation(trained: _Trained, store: Store, executor: Executor) -> dict[str, Any]:
    make_steps([trained.evaluation], store, executor)
    evaluation: dict[str, Any] = read_checked_json(
        trained.evaluation.artifact.path / "evaluation.json"
    )
    return evaluation


def _read_rates(trained: _Trained, store: Store, executor: Executor) -> ModelResult:
    evaluation = _read_evaluation(trained, store, executor)
    return ModelResult(**evaluation["models"][BACKDOORED])


def _row(attack: Attack, evaluation: dict[str, Any], clean: ModelResult) -> AttackStrength:
    rates = ModelResult(**evaluation["models"][BACKDOORED])
    acc_change = None
    if rates.acc is not None and clean.acc is not None:
        acc_change = rates.acc - clean.acc
    return AttackStrength(
        attack=attack.name,
        in_paper=attack.in_paper,
        num_poisoned=evaluation["num_poisoned"],
        num_cover=evaluation["num_cover"],
        backdoored=rates,
        clean=clean,
        acc_change=acc_change,
        weak=evaluation["weak_attack"],
    )
