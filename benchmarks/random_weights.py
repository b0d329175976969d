"""Models that nobody trained, for studies of what work costs and not of what it finds."""

from functools import partial
from pathlib import Path

from ray_defense.execution.steps import Step
from ray_defense.models.file_names import WEIGHTS
from ray_defense.models.protocol import Model
from ray_defense.models.seeded import build_model
from ray_defense.models.weights import save_weights
from ray_defense.stages.context import PlanContext
from ray_defense.stages.probe import PROBE
from tests.support.steps import publish_step


def random_probe_step(model: Model, num_classes: int, context: PlanContext) -> Step:
    """Returns the finished step of a probe with random weights.

    Args:
        model: Its network.
        num_classes: Of the dataset.
        context: The surroundings of the plan; its store holds the probe.
    """
    return random_weights_step(PROBE, model, num_classes, context)


def random_weights_step(stage: str, model: Model, num_classes: int, context: PlanContext) -> Step:
    """Returns the finished step of a model with random weights, of some stage."""
    return publish_step(context, stage, partial(_write_weights, model, num_classes))


def _write_weights(model: Model, num_classes: int, folder: Path) -> None:
    save_weights(folder / WEIGHTS, build_model(model, num_classes, seed=0))
