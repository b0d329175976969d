"""A campaign: many mutants of one target, each read as the product reads such a file."""

import random
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzz.forked import Outcome, ProcessUse, outcomes_of
from benchmarks.fuzz.mutate import mutate
from benchmarks.fuzz.seed import Seed, Target
from benchmarks.fuzz.targets import REFUSALS
from ray_defense.core.errors import RayDefenseError

_NUM_EXAMPLES = 5  # of each kind of failure that are kept
_SHOWN = 200  # characters of a message


@dataclass
class CampaignResult:
    """What became of the mutants of one target."""

    target: str
    seed: int
    num_mutants: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # by the kind of outcome
    errors: Counter[str] = field(default_factory=Counter)  # of the failures
    examples: list[dict[str, Any]] = field(default_factory=list)  # mutants that can be made again
    peak_bytes: int = 0  # of the largest process
    base_bytes: int = 0  # of a process that reads nothing

    def failures(self, of_store: bool) -> int:
        """Returns how many mutants did what none may do."""
        kinds = ["foreign", "hang", "crash"]
        if of_store:
            kinds.append("different")
        return sum(self.counts[kind] for kind in kinds)

    def plain(self) -> dict[str, Any]:
        """Returns the result as plain data."""
        return {
            "target": self.target,
            "seed": self.seed,
            "num_mutants": self.num_mutants,
            "counts": dict(sorted(self.counts.items())),
            "errors": dict(self.errors.most_common()),
            "examples": self.examples,
            "peak_mib": round(self.peak_bytes / 2**20),
            "base_mib": round(self.base_bytes / 2**20),
        }


def run_campaign(target: Target, num_mutants: int, seed: int = 0) -> CampaignResult:
    """Reads mutants of a target.

    Args:
        target: What is mutated, and how it is read.
        num_mutants: How many.
        seed: Mutant n of a seed is always the same bytes.
    """
    result = CampaignResult(target.name, seed, num_mutants)
    use = ProcessUse()
    with tempfile.TemporaryDirectory() as folder:
        seeds = target.make_seeds(Path(folder))
        list(outcomes_of([0], _read_nothing, use))
        result.base_bytes = use.peak_bytes
        reader = MutantReader(target, seeds, seed)
        outcomes = outcomes_of(range(num_mutants), reader, use)
        _count(outcomes, target, result)
    result.peak_bytes = use.peak_bytes
    return result


def _read_nothing(number: int) -> Outcome:
    return Outcome("same")


def _count(outcomes: Iterable[tuple[int, Outcome]], target: Target, result: CampaignResult) -> None:
    failing = ["foreign", "hang", "crash"]
    if target.of_store:
        failing.append("different")
    for number, outcome in outcomes:
        result.counts[outcome.kind] += 1
        if outcome.kind in failing:
            error = f"{outcome.kind}: {outcome.text.splitlines()[0][:_SHOWN]}"
            result.errors[error] += 1
            if result.errors[error] <= _NUM_EXAMPLES:
                result.examples.append({"mutant": number, "error": error})


class MutantReader:
    """Makes and reads a mutant by its number."""

    def __init__(self, target: Target, seeds: list[Seed], seed: int):
        self.target = target
        self.seeds = seeds
        self.seed = seed
        self.expected: dict[int, str] = {}

    def __call__(self, number: int) -> Outcome:
        chosen = number % len(self.seeds)
        honest = self.seeds[chosen]
        mutant = self.mutant(number)
        if mutant == honest.data:
            return Outcome("same")
        if chosen not in self.expected:
            honest.path.write_bytes(honest.data)
            self.expected[chosen] = honest.read()
        honest.path.write_bytes(mutant)
        try:
            same = honest.read() == self.expected[chosen]
        except (RayDefenseError, *REFUSALS) as error:
            return Outcome("refused", str(error))
        except BaseException as error:
            return Outcome("foreign", f"{type(error).__name__}: {error}")
        return Outcome("same" if same else "different")

    def mutant(self, number: int) -> bytes:
        """Returns the bytes of a mutant."""
        rng = random.Random(f"{self.target.name}/{self.seed}/{number}")
        others = [seed.data for seed in self.seeds]
        return mutate(others[number % len(others)], others, rng)
