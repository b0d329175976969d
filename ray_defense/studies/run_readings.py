"""What figures show of a finished run beside its rates: scores, features, seconds of its stages.

Shapes: M samples on a map, D features.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from ray_defense.core.random import permutation, stream
from ray_defense.pipeline.plan import Plan
from ray_defense.stages.backdoored import BACKDOORED
from ray_defense.stages.evaluation import EVALUATION, SAMPLES

if TYPE_CHECKING:
    import pyarrow as pa

Reading = Literal["scores", "features", "seconds"]

_NUM_POISONED_POINTS = 500
_NUM_OTHER_POINTS = 1500
_EVERY_MODEL = ""


@dataclass(frozen=True)
class RunReading:
    """What is read off one run."""

    notes: Mapping[str, str] = field(default_factory=dict)  # by model; "" for all others
    picture: str | None = None  # SVG

    def note(self, model: str) -> str:
        """Returns the note of a model."""
        return self.notes.get(model, self.notes.get(_EVERY_MODEL, ""))


def read_run(reading: Reading, plan: Plan) -> RunReading:
    """Returns what is read off the artifacts of a finished run, which must be on this machine.

    Args:
        reading: "scores" draws how the scores of clean and of poisoned samples are distributed;
            "features" draws a t-SNE map of the probe's features and measures Eq. (6); "seconds"
            tells how long the stages of each defense took.
        plan: Of the run.
    """
    return _READINGS[reading](plan)


def _read_scores(plan: Plan) -> RunReading:
    from ray_defense.reports.figures import draw_score_histogram

    samples = _samples(plan)
    scores = samples["score"].to_numpy()
    part = np.array(samples["split"].to_pylist())
    picture = draw_score_histogram(
        scores,
        samples["poisoned"].to_numpy(zero_copy_only=False),
        trusted_threshold=float(scores[part == "trusted"].max(initial=scores.min())),
        flagged_threshold=float(scores[part == "flagged"].min(initial=scores.max())),
    )
    return RunReading(picture=picture)


def _read_features(plan: Plan) -> RunReading:
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.models.file_names import WEIGHTS
    from ray_defense.reports.figures import draw_clusters
    from ray_defense.scores.neighbor_map import neighbor_map
    from ray_defense.stages.feature_map import FeatureMapInputs, read_features

    is_poisoned = _samples(plan)["poisoned"].to_numpy(zero_copy_only=False)
    seed = plan.recipe.seed
    chosen = _drawn_positions(is_poisoned, seed)
    suspect = plan.dataset.step.artifact.path
    dataset = SuspectDataset(suspect)
    labels = dataset.labels[chosen]
    poisoned = is_poisoned[chosen]
    inputs = FeatureMapInputs(
        network=plan.recipe.probe.model,
        weights=plan.probe.artifact.path / WEIGHTS,
        suspect=suspect,
        normalization=plan.recipe.normalization,
        index=dataset.index[chosen],
    )
    features_MD = read_features(inputs)
    to_target, to_others = intra_cluster_distances(features_MD, labels, poisoned)
    note = (
        f"squared distance of the poisoned cluster's center to the clean center of its label "
        f"{to_target:.3g}, to those of other labels {to_others:.3g} on average"
    )
    picture = draw_clusters(neighbor_map(features_MD, seed), labels, poisoned)
    return RunReading({_EVERY_MODEL: note}, picture)


def _drawn_positions(is_poisoned: np.ndarray, seed: int) -> np.ndarray:
    """Returns the positions of the samples on the map, ascending."""
    chosen = []
    for name, kind, count in (
        ("poisoned", np.flatnonzero(is_poisoned), _NUM_POISONED_POINTS),
        ("clean", np.flatnonzero(~is_poisoned), _NUM_OTHER_POINTS),
    ):
        chosen.append(kind[permutation(stream(seed, "cluster map", name), len(kind))[:count]])
    return np.sort(np.concatenate(chosen))


def intra_cluster_distances(
    features_MD: np.ndarray, labels: np.ndarray, poisoned: np.ndarray
) -> tuple[float, float]:
    """Returns Eq. (6): squared distances of the poisoned cluster's center to the clean ones.

    Args:
        features_MD: Features, float [M, D].
        labels: As received, int [M].
        poisoned: Which samples are poisoned, bool [M]; the most frequent label among them is taken
            for the attacker's target.

    Returns:
        The distance to the clean samples of the target class, and the mean of the distances to
        those of each other class; NaN where there are no such samples.
    """
    target = int(np.bincount(labels[poisoned]).argmax())
    center_D = features_MD[poisoned & (labels == target)].mean(axis=0)
    to_target = float("nan")
    to_others = []
    for label in np.unique(labels[~poisoned]).tolist():
        clean_center_D = features_MD[~poisoned & (labels == label)].mean(axis=0)
        distance = float(((center_D - clean_center_D) ** 2).sum())
        if label == target:
            to_target = distance
        else:
            to_others.append(distance)
    return to_target, float(np.mean(to_others)) if to_others else float("nan")


def _read_seconds(plan: Plan) -> RunReading:
    seconds = {stage: artifact.seconds for stage, artifact in plan.artifacts().items()}
    distinguishes = {step.key: step for step in (*plan.detection.steps.values(), plan.split)}
    distinguishing = sum(step.artifact.seconds for step in distinguishes.values())
    training = seconds.get(BACKDOORED, 0.0)
    notes = {BACKDOORED: f"plain training {training:.0f} s"}
    for name in plan.defenses:
        parts = [f"distinguishing {distinguishing:.0f} s"]
        total = distinguishing + seconds[name]
        if name == "d_br":
            parts.append(f"plain training {training:.0f} s")
            total += training
        parts.append(f"its own training {seconds[name]:.0f} s")
        text = ", ".join(parts)
        if training:
            text += f": {total / training:.1f} times plain training"
        notes[name] = text
    return RunReading(notes)


def _samples(plan: Plan) -> "pa.Table":
    from ray_defense.data.table_file import read_table

    return read_table(plan.artifacts()[EVALUATION].path / SAMPLES)


_READINGS: dict[Reading, Callable[[Plan], RunReading]] = {
    "scores": _read_scores,
    "features": _read_features,
    "seconds": _read_seconds,
}
