"""trials --search--> those that Optuna's TPE asks for, a few at a time, led by a number that needs no truth and no test set."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ray_defense.core.checks import at_least
from ray_defense.core.errors import Refused
from ray_defense.core.random import stream, uniform
from ray_defense.reports import metrics as blind
from ray_defense.sweeps.grid import Trial

STARTUP = 5  # trials drawn at random, before there is anything to go by
_ASKS = 20  # suggestions of what was tried already, before the next one is drawn at random


@dataclass(frozen=True)
class Search:
    """How many trials are run, and which number leads to the next ones."""

    samples: int
    metric: str  # one of `blind.NUMBERS`
    mode: blind.Mode
    batch: int = 4  # trials asked for at a time: they may run side by side; more know less of each other

    def __post_init__(self) -> None:
        at_least("--samples", self.samples, 1)
        at_least("--batch", self.batch, 1)
        blind.better(self.metric)  # refuses a number that is none of them

    def check(self, trials: Sequence[Trial]) -> None:
        """Raises Refused where Optuna is not installed, or where no trial has the metric."""
        if importlib.util.find_spec("optuna") is None:
            raise Refused("--search optuna needs Optuna: pip install 'ray_defense[hpo]'")
        stage = next((stage for stage in blind.METRICS if self.metric.startswith(f"{stage}_")), "probe")
        field = {"backdoored": "backdoor"}.get(stage, stage)
        if all(getattr(trial.recipe, field) is None for trial in trials):
            raise Refused(f"no trial has a {self.metric}: none has the stage {field}; choose another metric, or add the stage")

    def choose(self, trials: Sequence[Trial], seed: int, attempt: Callable[[list[Trial]], list[float | None]]) -> list[Trial]:
        """Returns the trials asked for, in order, none twice; `attempt` runs a batch and returns the metric of each.

        What is asked for depends on the seed, the batch and the metrics before alone, so a search that was interrupted
        asks for the same again. A trial without a metric (None) tells nothing.
        """
        import optuna  # seconds, and an extra

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        draws = uniform(stream(seed, "search"), [trial.number for trial in trials], 1)[:, 0]
        untried = {trials[place].changes: trials[place] for place in draws.argsort(kind="stable")}
        values: dict[str, dict[str, None]] = {}
        for trial in trials:
            for path, value in trial.changes:
                values.setdefault(path, {})[value] = None
        axes = {path: optuna.distributions.CategoricalDistribution(list(found)) for path, found in values.items()}
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP, constant_liar=True, seed=stream(seed, "search", "sampler") % 2**32
        )
        study = optuna.create_study(sampler=sampler, direction={"max": "maximize", "min": "minimize"}[self.mode])
        chosen: list[Trial] = []
        while untried and len(chosen) < self.samples:
            count = min(self.batch, self.samples - len(chosen), len(untried))
            asked = [_ask(study, axes, untried) for _ in range(count)]
            batch = [trial for _, trial in asked]
            for (suggestion, _), value in zip(asked, attempt(batch), strict=True):
                _tell(study, suggestion, value)
            chosen += batch
        return chosen


def _ask(study: Any, axes: dict[str, Any], untried: dict[tuple[tuple[str, Any], ...], Trial]) -> tuple[Any, Trial]:
    """Returns a suggestion of Optuna's that was not tried, and its trial, which is `untried` no longer."""
    for _ in range(_ASKS):
        suggestion = study.ask(axes)
        changes = tuple((path, suggestion.params[path]) for path in axes)
        if changes in untried:
            return suggestion, untried.pop(changes)
        _tell(study, suggestion, None)
    changes = next(iter(untried))
    study.enqueue_trial(dict(changes))
    return study.ask(axes), untried.pop(changes)


def _tell(study: Any, suggestion: Any, value: float | None) -> None:
    from optuna.trial import TrialState

    if value is None:
        study.tell(suggestion, state=TrialState.FAIL)
    else:
        study.tell(suggestion, value)
