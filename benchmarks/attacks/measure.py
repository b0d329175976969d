"""One attack on one recipe: ACC and ASR of a model trained on it, and the trace of the scores."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray_defense.core.files import read_json
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import make_steps
from ray_defense.pipeline.plan import Plan, plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.reports.result import ModelResult
from ray_defense.stages.evaluation import judge_trace
from ray_defense.store.artifacts import Store
from ray_defense.studies.attack_strength import measure_attacks
from ray_defense.studies.score_trace import trace_step


def measure_strength(recipe: Recipe, store: Store, executor: Executor) -> dict[str, Any]:
    """Returns ACC and ASR of a model that is trained on what the recipe's attack poisoned.

    Beside it stand a clean model's, and what is known of the asset that the attack needs.

    Raises:
        InputError: If the attack is refused.
    """
    assert recipe.attack is not None
    (strength,) = measure_attacks(recipe, [recipe.attack], store, executor)
    if strength.refused is not None:
        raise SystemExit(f"{strength.attack} is refused: {strength.refused}")
    return {
        "backdoored": _plain_rates(strength.backdoored),
        "clean": _plain_rates(strength.clean),
        "weak_attack": strength.weak,
        "num_poisoned": strength.num_poisoned,
        "num_cover": strength.num_cover,
        "asset": _asset_metrics(plan_recipe(recipe, store)),
    }


def _plain_rates(rates: ModelResult | None) -> dict[str, Any] | None:
    if rates is None:
        return None
    plain = asdict(rates)
    del plain["title"]  # the key says which model it is
    del plain["rounds"]  # only D-BR has some
    return plain


def _asset_metrics(plan: Plan) -> dict[str, Any]:
    """Returns the metrics of the asset that the attack of a plan needs, where it has some."""
    if plan.dataset.asset is None:
        return {}
    file: Path = plan.dataset.asset.artifact.path / "metrics.json"
    if not file.is_file():
        return {}
    metrics = read_json(file)
    metrics.pop("history", None)
    return dict(metrics)


def measure_trace(recipe: Recipe, store: Store, executor: Executor) -> list[dict[str, Any]]:
    """Returns, for each epoch of L_intra, the label-free metrics and the quality of the scores.

    Args:
        recipe: Its probe keeps its epochs.
        store: Where results are kept.
        executor: Who does the work.
    """
    plan = plan_recipe(recipe, store)
    suspect = plan.dataset.step
    trace = trace_step(
        recipe.detect,
        recipe.decide,
        suspect,
        probe=plan.probe,
        model=recipe.probe.model,
        context=plan.context,
    )
    make_steps([trace], store, executor)
    judged = judge_trace(trace.artifact, suspect.artifact, recipe.decide, store)
    epochs = []
    for metrics, quality in zip(
        read_json(trace.artifact.path / "metrics.json"), judged, strict=True
    ):
        epochs.append({**metrics, **quality})
    return epochs
