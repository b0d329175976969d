"""trials --search--> those that Optuna's TPE asks for, led by a metric that is label-free."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_defense.core.checks import check_at_least
from ray_defense.core.errors import InputError
from ray_defense.core.random import stream, uniform
from ray_defense.reports.metrics import LABEL_FREE, Mode, better_mode
from ray_defense.sweeps.grid import Trial

NUM_STARTUP_TRIALS = 5  # drawn at random, before there is anything to go by
_MAX_REPEATED_ASKS = 20  # of what was tried already, before the next trial is drawn at random

Attempt = Callable[[list[Trial]], list[float | None]]
Changes = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Search:
    """How many trials are run, and which metric leads to the next ones."""

    num_samples: int
    metric: str  # one of LABEL_FREE
    mode: Mode
    batch_size: int = 4  # trials asked for at a time; they may run side by side, knowing less

    def __post_init__(self) -> None:
        check_at_least("--samples", self.num_samples, 1)
        check_at_least("--batch", self.batch_size, 1)
        better_mode(self.metric)  # raises for a metric that is not label-free

    def check(self, trials: Sequence[Trial]) -> None:
        """Raises InputError if Optuna is not installed, or no trial has the metric."""
        if importlib.util.find_spec("optuna") is None:
            raise InputError("--search optuna needs Optuna: pip install 'ray_defense[hpo]'")
        stage = LABEL_FREE[self.metric].stage
        if stage is None or any(_has_stage(trial, stage) for trial in trials):
            return
        raise InputError(
            f"no trial has a {self.metric}: none has the stage {stage}; "
            "choose another metric, or add the stage"
        )

    def choose(self, trials: Sequence[Trial], seed: int, attempt: Attempt) -> list[Trial]:
        """Runs trials, each batch chosen by the metrics of those before.

        What is asked for depends on the seed, the batch size and the metrics before alone, so a
        search that was interrupted asks for the same trials again.

        Args:
            trials: The trials to choose from.
            seed: Of the search.
            attempt: Runs a batch and returns the metric of each; None tells nothing.

        Returns:
            The trials that were run, in order, none twice.
        """
        study = _Study(trials, self.mode, seed)
        chosen: list[Trial] = []
        while study.untried and len(chosen) < self.num_samples:
            num_wanted = self.num_samples - len(chosen)
            count = min(self.batch_size, num_wanted, len(study.untried))
            asked = [study.ask() for _ in range(count)]
            batch = [trial for _, trial in asked]
            values = attempt(batch)
            for (suggestion, _), value in zip(asked, values, strict=True):
                study.tell(suggestion, value)
            chosen.extend(batch)
        return chosen


def _has_stage(trial: Trial, stage: str) -> bool:
    if stage == "probe":
        return True
    if stage == "backdoored":
        return trial.recipe.backdoored is not None
    return any(defense.name == stage for defense in trial.recipe.defenses)


class _Study:
    """Optuna's study over the trials of a grid."""

    def __init__(self, trials: Sequence[Trial], mode: Mode, seed: int):
        import optuna  # an extra, whose import takes seconds

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        numbers = np.array([trial.number for trial in trials])
        draws = uniform(stream(seed, "search"), numbers, 1)[:, 0]
        self.untried: dict[Changes, Trial] = {}
        for position in draws.argsort(kind="stable").tolist():
            self.untried[trials[position].changes] = trials[position]
        values: dict[str, dict[str, None]] = {}
        for trial in trials:
            for path, value in trial.changes:
                values.setdefault(path, {})[value] = None
        self._axes = {}
        for path, of_path in values.items():
            self._axes[path] = optuna.distributions.CategoricalDistribution(list(of_path))
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=NUM_STARTUP_TRIALS,
            constant_liar=True,
            seed=stream(seed, "search", "sampler") % 2**32,
        )
        direction = {"max": "maximize", "min": "minimize"}[mode]
        self._study = optuna.create_study(sampler=sampler, direction=direction)

    def ask(self) -> tuple[Any, Trial]:
        """Returns a suggestion of a trial that was not tried, and the trial."""
        for _ in range(_MAX_REPEATED_ASKS):
            suggestion = self._study.ask(self._axes)
            changes = tuple((path, suggestion.params[path]) for path in self._axes)
            if changes in self.untried:
                return suggestion, self.untried.pop(changes)
            self.tell(suggestion, None)
        changes = next(iter(self.untried))
        self._study.enqueue_trial(dict(changes))
        return self._study.ask(self._axes), self.untried.pop(changes)

    def tell(self, suggestion: Any, value: float | None) -> None:
        """Tells what a suggestion gave."""
        from optuna.trial import TrialState

        if value is None:
            self._study.tell(suggestion, state=TrialState.FAIL)
        else:
            self._study.tell(suggestion, value)
