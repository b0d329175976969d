"""A poisoned dataset of 256 digits, and probes of two epochs of L_intra trained on it."""

from dataclasses import dataclass, replace
from pathlib import Path

from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import Step
from ray_defense.pipeline.plan import plan_dataset
from ray_defense.stages.context import PlanContext
from ray_defense.stages.detect import DetectConfig
from ray_defense.stages.probe import probe_step
from tests.support import tiny
from tests.support.steps import make_step, plan_context

LAST_EPOCH = 2  # of L_intra


@dataclass(frozen=True)
class PoisonedDigits:
    """The finished dataset, and how a probe that keeps its epochs is trained on it."""

    context: PlanContext
    suspect: Step
    config: ProbeConfig
    detect: DetectConfig

    @property
    def dataset(self) -> SuspectDataset:
        return SuspectDataset(self.suspect.artifact.path)

    def probe(
        self,
        config: ProbeConfig,
        context: PlanContext | None = None,
        executor: Executor | None = None,
    ) -> Step:
        """Returns the step of a probe, trained in this process."""
        context = context or self.context
        step = probe_step(config, self.suspect, context)
        make_step(step, context, executor)
        return step

    def probe_that_kept_epochs(self) -> Step:
        return self.probe(self.config)

    def probes_that_kept_none(self) -> list[Step]:
        """Returns probes trained apart with 0, 1, ... epochs of L_intra."""
        steps = []
        for number in range(LAST_EPOCH + 1):
            config = replace(self.config, intra_epochs=number, keep_epochs=False)
            steps.append(self.probe(config))
        return steps


def poison_digits(digits: Path, store: Path) -> PoisonedDigits:
    """Returns the dataset that the tiny recipe's attack poisons.

    Args:
        digits: The folder of the source.
        store: Where it is made.
    """
    recipe = tiny.recipe(digits)
    context = plan_context(store)
    suspect = plan_dataset(recipe, context).step
    make_step(suspect, context)
    config = replace(recipe.probe, intra_epochs=LAST_EPOCH, keep_epochs=True)
    return PoisonedDigits(context, suspect, config, recipe.detect)
