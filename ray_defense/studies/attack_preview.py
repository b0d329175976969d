"""source, attack --preview--> a contact sheet: training images clean and triggered, by phase."""

import numpy as np

from ray_defense.attacks.protocol import Attack, Phase
from ray_defense.core.errors import InputError
from ray_defense.core.random import stream, uniform
from ray_defense.data.sources.protocol import Source
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import make_steps
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.attacker.prepare import prepare_attack
from ray_defense.stages.attacker.prepared_attack import PreparedAttack, eligible_samples
from ray_defense.stages.context import PlanContext
from ray_defense.store.artifacts import Store

NUM_IMAGES = 8  # one row of the contact sheet


def preview_attack(recipe: Recipe, store: Store, executor: Executor) -> bytes:
    """Returns the contact sheet of a recipe's attack as a PNG.

    Args:
        recipe: The recipe whose attack is shown on its source.
        store: Where the asset that the attack needs is taken from, or made if it is missing.
        executor: Who makes the asset.

    Raises:
        InputError: If the recipe has no attack, or the attack can stamp none of the images.
    """
    # Importing matplotlib takes a while.
    from ray_defense.reports.contact_sheet import ContactSheet, draw_contact_sheet

    attack: Attack | None = recipe.attack
    if attack is None:
        raise InputError(
            f"recipe {recipe.name} has no attack to show: choose one with --set attack=NAME"
        )
    source: Source = recipe.source
    class_names = source.info().class_names
    candidates = np.flatnonzero(eligible_samples(attack, source))
    index, images, labels = draw_samples(source, candidates, recipe.seed)
    prepared = _prepare(recipe, attack, store, executor=executor)
    phases: list[Phase] = ["train", "test"]
    if attack.target.cover_ratio:
        phases = ["train", "cover", "test"]
    stamped: dict[str, np.ndarray] = {}
    for phase in phases:
        stamped[phase] = prepared.stamp(images, index, phase)
    sheet = ContactSheet(
        title=attack.name,
        subtitle=(
            f"{source.name}: {len(index)} of the training samples that the attack may poison "
            f"(seed {recipe.seed})"
        ),
        index=index,
        labels=labels,
        poisoned_labels=attack.target.relabel(labels, len(class_names)),
        class_names=class_names,
        clean=images,
        stamped=stamped,
    )
    return draw_contact_sheet(sheet)


def _prepare(recipe: Recipe, attack: Attack, store: Store, *, executor: Executor) -> PreparedAttack:
    """Returns the recipe's attack ready to stamp: its asset is in the store."""
    preparation = prepare_attack(
        attack,
        recipe.attacker,
        recipe.ingest,
        source=recipe.source,
        context=PlanContext(store, recipe.seed, recipe.normalization),
    )
    step = preparation.step
    if step is None:
        return preparation.attack
    if step.artifact.stage == "picture":
        # No cluster has to be started to decode one file.
        executor = LocalExecutor()
    make_steps([step], store, executor)
    return preparation.attack


def draw_samples(
    source: Source, candidates: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws NUM_IMAGES random training samples, or all candidates that decode if they are fewer.

    Args:
        source: Where the samples come from.
        candidates: The indices that may be drawn, int64 [M].
        seed: Of the draw.

    Returns:
        The indices, int64 [N], in ascending order, the images, uint8 [N, H, W, 3], and the labels,
        int64 [N].

    Raises:
        InputError: If no candidate decodes.
    """
    draws = uniform(stream(seed, "preview"), candidates, 1)[:, 0]
    order = candidates[np.argsort(draws, kind="stable")]
    decoded = {}
    for index in order.tolist():
        batch = source.read("train", index, index + 1)
        if len(batch.index):
            decoded[index] = batch
        if len(decoded) == NUM_IMAGES:
            break
    if not decoded:
        raise InputError(
            f"none of the {len(candidates)} training samples that the attack may poison can be "
            "shown: change its target"
        )
    indices = sorted(decoded)
    images = np.concatenate([decoded[index].images for index in indices])
    labels = np.concatenate([decoded[index].labels for index in indices])
    return np.array(indices), images, labels
