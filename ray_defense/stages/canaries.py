"""suspect dataset --canaries--> power: which planted triggers the same detectors would have found.

Canaries live in copies of the dataset, one for each kind and number. Nothing but the power is made
from a copy: its images, labels, networks, evidence and decisions reach no other artifact. Samples
that the user vouches for are no canaries, and are vouched for in a copy as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ray_defense.attacks import ATTACKS
from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.blend_signal import BlendSignal
from ray_defense.attacks.protocol import Attack
from ray_defense.attacks.sig import Sig
from ray_defense.core.checks import check_at_least, check_distinct
from ray_defense.core.config import choice
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.core.random import stream, uniform
from ray_defense.detectors.decision.protocol import Decision
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.decide import VERDICT_FILE, decide_step, read_vouched
from ray_defense.stages.detect import DetectConfig, plan_detection
from ray_defense.stages.detector_models import RecipeModels
from ray_defense.stages.power_file import POWER_FILE
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_json

COPY = "canary_copy"
POWER = "power"
COPY_VERSION = 1
POWER_VERSION = 1
CANARIES_FILE = "canaries.json"


@dataclass(frozen=True)
class CanaryConfig:
    """Which canaries are planted: each family, dirty and clean label, in each number."""

    families: tuple[Attack, ...] = choice(ATTACKS, default=(BadNets(), BlendSignal(), Sig()))
    sizes: tuple[int, ...] = (20, 50, 100, 200)  # without any, power is not measured

    def __post_init__(self) -> None:
        if not self.families:
            raise InputError("canaries.families is empty: name an attack, such as badnets")
        check_distinct("canaries.families", [family.name for family in self.families])
        for family in self.families:
            if family.requires is not None:
                raise InputError(
                    f"canaries.families holds {family.name}, which needs a {family.requires} made "
                    "first: take an attack that needs nothing, such as badnets"
                )
        for size in self.sizes:
            check_at_least("canaries.sizes", size, 1)

    def kinds(self) -> list["Canary"]:
        """Returns every kind and number of canaries."""
        kinds: list[Canary] = []
        for family in self.families:
            for keeps_label in (False, True):
                for size in self.sizes:
                    kinds.append(Canary(family, keeps_label, size))
        return kinds


@dataclass(frozen=True)
class Canary:
    """One kind of canaries in one copy."""

    family: Attack  # its trigger; its target is not used
    keeps_label: bool  # clean label: images of one class; dirty: others, relabeled to that class
    size: int


@dataclass(frozen=True)
class PlantedCopy:
    """The steps of one copy: the images, and what the decision makes of them."""

    canary: Canary
    copy: Step
    split: Step


def plan_power(
    config: CanaryConfig,
    suspect: Step,
    decide_copy: Callable[[Step], Step],
    context: PlanContext,
    first_vouched: int | None = None,
) -> Step:
    """Returns the step of the power of some detectors and a decision on a dataset.

    Args:
        config: Which canaries are planted.
        suspect: The step of the dataset.
        decide_copy: Plans the detectors and the decision on a copy, given its step, and returns the
            step of the split, such as `partial(decide_on_copy, detect, decide, probe, context)`.
        context: The surroundings of the plan.
        first_vouched: The index of the first sample that the user vouches for; None where there is
            none.
    """
    copies = []
    needs: dict[str, Step] = {}
    splits: dict[str, Step] = {}
    for number, canary in enumerate(config.kinds()):
        copy = canary_copy_step(canary, suspect, context, first_vouched)
        split = decide_copy(copy)
        copies.append(PlantedCopy(canary, copy, split))
        needs[f"copy_{number}"] = copy
        splits[f"split_{number}"] = split
    # All copies come before all networks, so that small networks train side by side.
    needs.update(splits)
    artifact = context.locate(POWER, POWER_VERSION, config, needs)
    work = FunctionWork(partial(_measure_power, tuple(copies)))
    return Step(artifact, needs=tuple(needs.values()), work=work)


def decide_on_copy(
    detect: DetectConfig,
    decide: Decision,
    probe: ProbeConfig,
    context: PlanContext,
    copy: Step,
    *,
    first_vouched: int | None = None,
    pretrained: Step | None = None,
) -> Step:
    """Returns the step of the split of a copy, by the detectors and the decision of a recipe.

    Raises:
        InputError: If the decision gives no verdict, or a detector needs a backdoored model: that
            would be one more full training for each copy.
    """
    if not decide.gives_verdict:
        raise InputError(
            f"canaries measure the power of a verdict, and decide={decide.name} gives none: set "
            "decide=evidence, or leave the canaries out"
        )
    models = RecipeModels(probe, backdoored=None, pretrained=pretrained)
    detection = plan_detection(detect, copy, models, context)
    return decide_step(
        decide,
        detect.detectors[0].name,
        copy,
        evidence=detection.evidence,
        context=context,
        detectors=detect.detectors,
        first_vouched=first_vouched,
    )


def canary_copy_step(
    canary: Canary, suspect: Step, context: PlanContext, first_vouched: int | None = None
) -> Step:
    """Returns the step of a copy of the dataset with canaries of one kind, none of them vouched."""
    identity = {} if first_vouched is None else {"first_vouched": first_vouched}
    artifact = context.locate(COPY, COPY_VERSION, canary, {"suspect": suspect}, **identity)
    key = stream(context.seed, COPY, canary.family.name, int(canary.keeps_label))
    work = FunctionWork(partial(_plant, canary, suspect.artifact, key, first_vouched))
    return Step(artifact, needs=(suspect,), work=work)


def choose_canaries(
    labels: np.ndarray,
    index: np.ndarray,
    canary: Canary,
    key: int,
    *,
    judged: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """Chooses which samples become canaries, and the class that they have afterwards.

    Of the samples that are judged, the class is the most frequent one (the lowest of several).
    Canaries that keep their label are at most half of it; the others come from all other classes. A
    smaller number is a part of a larger one.

    Args:
        labels: As received, int [N].
        index: The indices of the samples, int [N].
        canary: Their kind and number.
        key: The random stream of the draws.
        judged: Which samples nobody vouches for, bool [N]; None for all.

    Returns:
        Positions, int64, ascending, and the class.
    """
    if judged is None:
        judged = np.ones(len(labels), bool)
    label = int(np.bincount(labels[judged], minlength=1).argmax())
    in_class = labels == label
    candidates = np.flatnonzero(judged & (in_class if canary.keeps_label else ~in_class))
    num_chosen = min(canary.size, len(candidates) // 2)
    draws = uniform(key, index[candidates], 1)[:, 0]
    order = np.argsort(draws, kind="stable")
    return np.sort(candidates[order[:num_chosen]]), label


def _plant(
    canary: Canary,
    suspect: Artifact,
    key: int,
    first_vouched: int | None,
    artifact: Artifact,
    executor: Executor,
) -> None:
    """Writes the copy, shard by shard, and `canaries.json` with the indices of the canaries."""
    from ray_defense.data.suspect_dataset import (
        DESCRIPTION,
        SuspectDataset,
        write_manifest,
        write_shard,
    )

    dataset = SuspectDataset(suspect.path)
    judged = None
    if first_vouched is not None:
        judged = ~read_vouched(suspect, dataset, first_vouched)
    chosen, label = choose_canaries(dataset.labels, dataset.index, canary, key, judged=judged)
    labels = dataset.labels.copy()
    labels[chosen] = label
    is_canary = np.zeros(dataset.num_samples, bool)
    is_canary[chosen] = True
    parts = []
    for shard in np.unique(dataset.shard).tolist():
        positions = np.flatnonzero(dataset.shard == shard)
        positions = positions[np.argsort(dataset.row[positions])]
        images = dataset.read_images(positions)
        stamped = is_canary[positions]
        if stamped.any():
            index = dataset.index[positions[stamped]]
            images[stamped] = canary.family.stamp(images[stamped], index, "train")
        parts.append(
            write_shard(
                artifact.work,
                shard,
                images,
                labels=labels[positions],
                index=dataset.index[positions],
                origin=[f"copy of {number}" for number in dataset.index[positions]],
            )
        )
    write_manifest(artifact.work, parts)
    write_json(artifact.work / DESCRIPTION, read_checked_json(suspect.path / DESCRIPTION))
    write_json(artifact.work / CANARIES_FILE, {"index": dataset.index[chosen].tolist()})


def _measure_power(copies: Sequence[PlantedCopy], artifact: Artifact, executor: Executor) -> None:
    """Writes `power.json`: for each copy, how many canaries were found."""
    from ray_defense.data.split_table import read_split
    from ray_defense.detectors.decision.verdict import CanaryResult, Power

    results = []
    for planted in copies:
        canaries = read_checked_json(planted.copy.artifact.path / CANARIES_FILE)["index"]
        flagged = read_split(planted.split.artifact.path).members("flagged")
        verdict = read_checked_json(planted.split.artifact.path / VERDICT_FILE)
        num_found = len(np.intersect1d(flagged, canaries))
        results.append(
            CanaryResult(
                family=planted.canary.family.name,
                keeps_label=planted.canary.keeps_label,
                num_planted=len(canaries),
                num_found=num_found,
                num_others=len(flagged) - num_found,
                evidence=verdict["verdict"] == "evidence",
            )
        )
    write_json(artifact.work / POWER_FILE, Power(tuple(results)))
