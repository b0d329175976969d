"""Evidence as detectors would give it, with planted triggers, drawn from a seed."""

from dataclasses import dataclass, replace

import numpy as np

from ray_defense.detectors.decision.protocol import EvidenceTable

NUM_CLASSES = 5


@dataclass(frozen=True, eq=False)
class PlantedEvidence:
    """A table of evidence, and which samples have a trigger."""

    table: EvidenceTable
    poisoned_N: np.ndarray  # bool

    def with_metrics(self, **metrics: dict[str, float]) -> EvidenceTable:
        return replace(self.table, metrics=metrics)

    def with_columns(self, **columns: np.ndarray) -> EvidenceTable:
        return replace(self.table, columns={**self.table.columns, **columns})


def plant(
    num_samples: int = 3000,
    num_poisoned: int = 150,
    *,
    labels: tuple[int, ...] = (2,),
    strength: float = 5.0,
    seed: int = 0,
) -> PlantedEvidence:
    """Returns evidence in which poisoned samples stand out in every column.

    Args:
        num_samples: N.
        num_poisoned: How many samples have a trigger.
        labels: The labels that poisoned samples have.
        strength: How far they stand out, in standard deviations of the others.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    labels_N = generator.integers(0, NUM_CLASSES, num_samples)
    poisoned_N = np.zeros(num_samples, bool)
    poisoned = generator.choice(num_samples, num_poisoned, replace=False)
    poisoned_N[poisoned] = True
    labels_N[poisoned] = generator.choice(labels, num_poisoned)
    # `grow` sees the trigger more clearly than the column it learned from, and knows how clearly.
    seen_N = generator.normal(loc=-strength, size=num_samples) + 2 * strength * poisoned_N
    columns = {
        "mirror": generator.normal(size=num_samples) + strength * poisoned_N,
        "fct_draws": np.exp(generator.normal(size=num_samples) + strength * poisoned_N),
        "grow": 2 * strength * seen_N,
    }
    table = EvidenceTable(
        index=np.arange(num_samples) * 2 + 1,
        labels=labels_N,
        num_classes=NUM_CLASSES,
        columns=columns,
        metrics={"grow": {"coherence": 0.99 if num_poisoned else 0.6}},
        follows={"grow": "mirror"},
        seed_shares={"grow": 0.5},
    )
    return PlantedEvidence(table, poisoned_N)
