"""What the parts of the command share: device, data, sizes, and how results are kept."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ray_defense.data.sources.cifar import Cifar10
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.detectors.fct_draws import FctDraws
from ray_defense.detectors.fixed_pattern import FixedPattern
from ray_defense.detectors.grow import Grow, GrowTraining
from ray_defense.detectors.handed_pattern import HandedPattern, HandedSearch
from ray_defense.detectors.mirror import Mirror
from ray_defense.detectors.pattern_detector import PatternSearch
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.detectors.symmetry import SymmetryTraining
from ray_defense.execution.local import LocalExecutor
from ray_defense.models.protocol import Model
from ray_defense.models.resnet18 import ResNet18
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.stages.detect import DetectConfig
from ray_defense.store.artifacts import Store
from ray_defense.training.settings import SupervisedConfig

Figures = Mapping[str, Any]
Keep = Callable[[Figures], None]  # stores what a part has measured so far


@dataclass(frozen=True)
class GpuSizes:
    """How much the parts do."""

    model: Model
    detect: DetectConfig
    probe_epochs: int
    max_epochs: int  # of the backdoored model; fewer where the time is short
    rounds: int  # of D-BR
    bound_steps: int  # of the networks of detectors, where they are timed
    num_repeats: int  # pairs of stage and bare loop
    bounds: tuple[str, ...]  # cells of benchmarks.bounds over all images, most telling ones first
    bounds_of_few: tuple[str, ...]  # cells over fewer images
    num_few: int  # how many those are
    networks: tuple[str, ...]  # that parity is checked on
    profiled_images: int


FULL = GpuSizes(
    model=ResNet18(),
    detect=DetectConfig((FixedPattern(), HandedPattern(), Mirror(), FctDraws(), Grow())),
    probe_epochs=4,
    max_epochs=200,
    rounds=20,
    bound_steps=200,
    num_repeats=2,
    bounds=("backdoored", "score_1", "probe_ce", "ss_ctl", "d_br"),
    bounds_of_few=("score_32", "probe_intra", "mirror", "grow", "mce"),
    num_few=10_000,
    networks=("small_resnet", "small_resnet_coordinates", "resnet18"),
    profiled_images=50 * 128,
)

_SHORT_DETECT = DetectConfig(
    (
        FixedPattern(PatternSearch(exemplars=2, fewest=8)),
        HandedPattern(HandedSearch(exemplars=2, fewest=8)),
        Mirror(SymmetryTraining(steps=2, batch_size=16)),
        FctDraws(draws=2),
        Grow(num_highest=10, training=GrowTraining(folds=2, steps=1, seeds_a_step=8)),
    ),
    batch_size=50,
    block_size=100,
)
TINY = GpuSizes(
    model=SmallResNet(width=8),
    detect=_SHORT_DETECT,
    probe_epochs=1,
    max_epochs=2,
    rounds=1,
    bound_steps=1,
    num_repeats=1,
    bounds=("backdoored",),
    bounds_of_few=("score_1",),
    num_few=100,
    networks=("small_resnet",),
    profiled_images=64,
)


@dataclass(frozen=True)
class GpuSetting:
    """One call of the command."""

    device: torch.device
    data: Path  # the folder of the Parquet files
    store: Store
    sizes: GpuSizes

    @property
    def recipe(self) -> Recipe:
        """The recipe of all parts: the chosen detectors, and D-BR as in the paper."""
        sizes = self.sizes
        base = named_recipe("cifar10_badnets_robust")
        return Recipe(
            name="gpu",
            source=Cifar10(root=str(self.data)),
            attack=base.attack,
            probe=ProbeConfig(sizes.model, epochs=sizes.probe_epochs),
            detect=sizes.detect,
            decide=base.decide,
            backdoored=self.backdoored(sizes.max_epochs),
            defenses=(BackdoorRemoval(rounds=sizes.rounds),),
        )

    def backdoored(self, epochs: int) -> SupervisedConfig:
        """Returns the paper's training of the backdoored model, in fewer epochs."""
        milestones = (epochs // 2, 3 * epochs // 4)
        return SupervisedConfig(self.sizes.model, epochs=epochs, milestones=milestones)

    def executor(self) -> LocalExecutor:
        """Returns what does the work of a run: this process, with the NumPy reader."""
        return LocalExecutor("numpy", self.device)


@dataclass(frozen=True)
class Deadline:
    """When a part should have ended."""

    at: float  # on the clock of `time.perf_counter`

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Returns the deadline so many seconds from now."""
        return cls(time.perf_counter() + seconds)

    @property
    def seconds_left(self) -> float:
        """Seconds until then; negative afterwards."""
        return self.at - time.perf_counter()
