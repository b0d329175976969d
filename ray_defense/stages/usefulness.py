"""Whether a defended model learned anything, by what its training says; no test image is needed."""

from collections.abc import Sequence
from typing import Any

from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_json

_TIMES_CHANCE = 2.0
_ENOUGH = 0.5


def why_useless(name: str, model: Artifact, trusted_class_counts: Sequence[int]) -> str | None:
    """Returns why a defended model should not be used; None where nothing speaks against it.

    A model that predicts the labels of its own trusted samples hardly more often than one that
    always names the most frequent class has learned nothing that a user could want.

    Args:
        name: Of the model, for the message.
        model: The artifact of the model.
        trusted_class_counts: The trusted samples of each class.
    """
    metrics: dict[str, Any] = read_checked_json(model.path / "metrics.json")
    history = metrics.get("history") or [{}]
    accuracy = history[-1].get("trusted_accuracy")
    num_trusted = sum(trusted_class_counts)
    if accuracy is None or not num_trusted:
        return None
    needed = least_accuracy(trusted_class_counts)
    if needed is None or accuracy >= needed:
        return None
    most_frequent = max(trusted_class_counts) / num_trusted
    return (
        f"{name} predicts only {accuracy:.0%} of the labels of its trusted samples, and always "
        f"naming the most frequent class would predict {most_frequent:.0%}: do not use this model; "
        "bring more images, or train it longer"
    )


def least_accuracy(trusted_class_counts: Sequence[int]) -> float | None:
    """Returns the share of trusted labels that a model of use predicts at least.

    Args:
        trusted_class_counts: The trusted samples of each class; None comes of no sample at all.
    """
    num_trusted = sum(trusted_class_counts)
    if not num_trusted:
        return None
    return min(_ENOUGH, _TIMES_CHANCE * max(trusted_class_counts) / num_trusted)
