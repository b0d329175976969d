"""Early stopping (ASHA): which epochs of which stage compare trials, and which trials lead others.

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_defense.core.errors import InputError, look_up
from ray_defense.pipeline.plan import Plan
from ray_defense.pipeline.recipe import Recipe
from ray_defense.reports.metrics import LABEL_FREE, RANKING_METRICS, Mode, check_label_free
from ray_defense.sweeps.grid import Trial


def _offered_metrics() -> str:
    names: list[str] = []
    for stage, metrics in RANKING_METRICS.items():
        names.extend(f"{stage}.{metric}" for metric in metrics)
    return "one of " + ", ".join(names)


@dataclass(frozen=True)
class Asha:
    """The number of an epoch by which trials are compared while they run."""

    stage: str
    metric: str
    mode: Mode

    def check(self, trials: Sequence[Trial], executor: str) -> None:
        """Checks that an executor of that name can compare the trials epoch by epoch.

        Raises:
            InputError: If the executor, or one of the trials, cannot be compared so.
        """
        if executor == "local":
            raise InputError(
                "--asha needs --executor ray: in one process trials run one after another to their "
                "end, so that there is nothing to compare the first ones with"
            )
        for trial in trials:
            stages = _training_stages(trial.recipe)
            if self.stage not in stages:
                raise InputError(
                    f"trial {trial.number} ({trial}) has no stage {self.stage} for --asha to "
                    "compare: add it"
                )
            for name, stage in stages.items():
                num_workers = stage.workers.num_workers
                if num_workers > 1:
                    raise InputError(
                        f"trial {trial.number} ({trial}): {name} has {num_workers} workers, and "
                        "what the epochs of another process group give does not reach --asha: "
                        "set its workers.num_workers to 1"
                    )

    def num_epochs(self, trials: Sequence[Trial]) -> int:
        """Returns how many epochs can be compared in the longest of the trials."""
        counts: list[int] = []
        for trial in trials:
            counts.append(_training_stages(trial.recipe)[self.stage].epochs)
        return max(counts)

    def leaders(self, plans: Mapping[Trial, Plan]) -> dict[Trial, Trial]:
        """Returns, for each trial, the first trial that trains the same artifact of the stage."""
        first_by_key: dict[str, Trial] = {}
        leaders = {}
        for trial, plan in plans.items():
            key = plan.steps()[self.stage].key
            leaders[trial] = first_by_key.setdefault(key, trial)
        return leaders


def parse_asha(text: str) -> Asha:
    """Returns what `STAGE.METRIC`, `STAGE.METRIC:max` or `STAGE.METRIC:min` names.

    Raises:
        InputError: For a metric that needs the truth or the test set, that means something only at
            the end, or that is unknown.
    """
    name, _, mode = text.partition(":")
    stage, dot, metric = name.partition(".")
    offered = _offered_metrics()
    if not dot or mode not in ("", "max", "min"):
        raise InputError(
            f"--asha needs STAGE.METRIC, or STAGE.METRIC:max or :min, not {text!r}: {offered}"
        )
    only_at_the_end = f"{stage}_{metric}" in LABEL_FREE
    if stage == "d_br" or (only_at_the_end and metric not in RANKING_METRICS.get(stage, {})):
        raise InputError(
            "--asha must not rank by a number that means something only at the end, "
            f"as {name} does: choose {offered}"
        )
    check_label_free(metric, offered)
    metrics = look_up(RANKING_METRICS, "stage of --asha", stage)
    usual_mode = look_up(metrics, f"metric of {stage}", metric)
    if mode == "max":
        return Asha(stage, metric, "max")
    if mode == "min":
        return Asha(stage, metric, "min")
    return Asha(stage, metric, usual_mode)


def _training_stages(recipe: Recipe) -> dict[str, Any]:
    """Returns the configurations of the training stages by stage."""
    stages: dict[str, Any] = {"probe": recipe.probe}
    if recipe.backdoored is not None:
        stages["backdoored"] = recipe.backdoored
    for defense in recipe.defenses:
        stages[defense.name] = defense
    return stages
