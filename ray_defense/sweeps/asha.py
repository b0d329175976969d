"""Successive halving (ASHA): which epochs of which stage judge a trial, and which trials stand for those that share them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray_defense.core.errors import Refused, look_up
from ray_defense.pipeline.pipeline import Plan, Recipe
from ray_defense.reports import metrics as blind
from ray_defense.sweeps.grid import Trial, named

# stage -> what its epochs give from the first on: a later phase starts when the earlier one, of another length, is over
JUDGED: dict[str, dict[str, blind.Mode]] = {
    "probe": {"loss": "min", "accuracy": "max"},
    "backdoored": {"loss": "min", "accuracy": "max"},
    "d_st": {"contrastive_loss": "min"},
}
_OFFERED = "one of " + ", ".join(f"{stage}.{name}" for stage, metrics in JUDGED.items() for name in metrics)
_AT_THE_END = {name: set(metrics) - set(JUDGED.get(name, ())) for name, metrics in blind.METRICS.items()}


@dataclass(frozen=True)
class Halving:
    """By which number of an epoch trials are compared."""

    stage: str
    metric: str
    mode: blind.Mode

    def check(self, trials: Sequence[Trial], executor: str) -> None:
        """Raises Refused where an executor of that name, or one of the trials, cannot be judged epoch by epoch."""
        if executor == "local":
            raise Refused(
                "--asha needs --executor ray: in one process trials run one after another to their end, "
                "so that there is nothing to compare the first ones with"
            )
        for trial in trials:
            stages = _trained(trial.recipe)
            if self.stage not in stages:
                raise Refused(f"trial {trial.number} ({named(trial)}) has no stage {self.stage} for --asha to judge: add it")
            for name, stage in stages.items():
                if stage.workers.num_workers > 1:
                    raise Refused(
                        f"trial {trial.number} ({named(trial)}): {name} has {stage.workers.num_workers} workers, and what "
                        "the epochs of another process group give does not reach --asha: set its workers.num_workers to 1"
                    )

    def num_epochs(self, trials: Sequence[Trial]) -> int:
        """Returns how many epochs can be judged in the longest of the trials."""
        return max(_trained(trial.recipe)[self.stage].epochs for trial in trials)

    def leaders(self, plans: Mapping[Trial, Plan]) -> dict[Trial, Trial]:
        """Returns who stands for each trial: the first of those that train the very same artifact of the judged stage."""
        first: dict[str, Trial] = {}
        return {trial: first.setdefault(one.jobs[self.stage].artifact.key, trial) for trial, one in plans.items()}


def parse(text: str) -> Halving:
    """Returns what `STAGE.METRIC` or `STAGE.METRIC:min` names.

    Raises Refused for what needs the truth or the test set, for what means something only at the end, and for what is
    unknown.
    """
    name, _, mode = text.partition(":")
    stage, dot, metric = name.partition(".")
    if not dot or mode not in ("", "max", "min"):
        raise Refused(f"--asha needs STAGE.METRIC, or STAGE.METRIC:max or :min, not {text!r}: {_OFFERED}")
    if stage == "d_br" or metric in _AT_THE_END.get(stage, ()):
        raise Refused(
            f"--asha must not rank by a number that means something only at the end, as {name} does: choose {_OFFERED}"
        )
    blind.check_unseeing(metric, _OFFERED)
    better = look_up(look_up(JUDGED, "stage of --asha", stage), f"metric of {stage}", metric)
    return Halving(stage, metric, mode or better)


def _trained(recipe: Recipe) -> dict[str, Any]:
    """Returns the configurations of the training stages, by stage."""
    stages = {"probe": recipe.probe, "backdoored": recipe.backdoor, "d_br": recipe.d_br, "d_st": recipe.d_st}
    return {name: stage for name, stage in stages.items() if stage is not None}
