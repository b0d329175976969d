"""Refuses at once what a late stage would refuse after hours of training."""

from typing import Any

from ray_defense.core.errors import InputError
from ray_defense.data.sources.labels import check_labels
from ray_defense.defenses.clean_data import no_clean_share, takes_clean_share
from ray_defense.detectors.decision.protocol import check_columns
from ray_defense.pipeline.recipe import Recipe


def check_recipe(recipe: Recipe) -> None:
    """Checks a recipe against its data, before anything is made.

    Raises:
        InputError: If the labels or the target class cannot be worked with, a split would be
            empty, the decision lacks a column, a defense lacks the model it repairs or the clean
            images it takes, or a batch cannot be shared evenly.
    """
    info = recipe.source.info()
    labels = recipe.source.labels("train")
    check_labels(labels, info.num_classes)
    if recipe.attack is not None:
        # Raises for a target class that the source does not have.
        recipe.attack.target.relabel(labels[:0], info.num_classes)
    check_columns(recipe.decide, recipe.detect.detectors)
    _check_fractions(recipe, len(labels))
    for defense in recipe.defenses:
        if defense.repairs and recipe.backdoored is None:
            raise InputError(
                f"{defense.name} repairs the backdoored model: set backdoored, or leave "
                f"{defense.name} out with --set {defense.name}=none"
            )
        if takes_clean_share(defense) and recipe.attack is None:
            raise no_clean_share(defense)
    if recipe.given is not None and recipe.backdoored is None:
        raise InputError("given is a model without a network: set backdoored.model")
    _check_batches(recipe)


def _check_fractions(recipe: Recipe, num_samples: int) -> None:
    """Raises InputError if a part of the split that a defense uses would be empty."""
    used: set[str] = set()
    for defense in recipe.defenses:
        used.update(defense.parts_used)
    for part in ("trusted", "flagged"):
        fraction = getattr(recipe.decide, f"{part}_fraction", None)
        if part in used and fraction is not None and round(fraction * num_samples, 6) < 1:
            raise InputError(
                f"the {part} split would be empty: {fraction} of {num_samples} samples; raise the "
                "fractions of decide, or leave the defenses out with --set defenses=none"
            )


def _check_batches(recipe: Recipe) -> None:
    """Raises InputError if a training stage cannot share its batches among its workers."""
    stages: dict[str, Any] = {"probe": recipe.probe}
    if recipe.backdoored is not None:
        stages["backdoored"] = recipe.backdoored
    for defense in recipe.defenses:
        stages[defense.name] = defense
    for name, stage in stages.items():
        num_workers = stage.workers.num_workers
        if stage.batch_size % num_workers:
            raise InputError(
                f"{name}.batch_size {stage.batch_size} is not a multiple of its "
                f"{num_workers} workers"
            )
