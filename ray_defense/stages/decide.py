"""scores --split--> trusted, poisoned and uncertain samples by exact counts (D2), with the class balance of the trusted."""

import time
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from ray_defense.core.checks import in_range
from ray_defense.core.errors import Refused
from ray_defense.core.files import read_json, write_json
from ray_defense.data.split_table import SplitTable, write_split
from ray_defense.data.suspect_dataset import ShardSet
from ray_defense.scores import split_by_score, starved_classes
from ray_defense.stages.context import Context
from ray_defense.store.artifacts import Artifact

VERSION = 1


@dataclass(frozen=True)
class Split:
    """The two proportions."""

    clean_fraction: float = 0.20  # alpha_c
    poison_fraction: float = 0.05  # alpha_p

    def __post_init__(self) -> None:
        in_range("split.clean_fraction", self.clean_fraction, 0, 1)
        in_range("split.poison_fraction", self.poison_fraction, 0, 1)
        in_range("split.clean_fraction + split.poison_fraction", self.clean_fraction + self.poison_fraction, 0, 1)


def place(config: Split, suspect: Artifact, scores: Artifact, context: Context) -> Artifact:
    """Returns where the split stands."""
    return context.place("split", VERSION, config, {"suspect": suspect, "scores": scores})


def run(config: Split, suspect: Artifact, scores: Artifact, context: Context) -> Artifact:
    """Splits the scored samples: `split.parquet` and `summary.json` (counts, class counts of the trusted, notes).

    Raises Refused when all scores are equal: no split of them means anything.
    """
    artifact = place(config, suspect, scores, context)
    with context.store.claim(artifact) as missing:
        if not missing:
            return artifact
        start = time.perf_counter()
        table = pq.read_table(scores.path / "scores.parquet")
        index, score = table["index"].to_numpy(), table["score"].to_numpy()
        if score.min() == score.max():
            raise Refused(f"not assessable: all {len(score)} scores equal {score[0]:g} (are all images the same?)")
        shards = ShardSet(suspect.path)
        parts = split_by_score(score, config.clean_fraction, config.poison_fraction)
        write_split(artifact.work / "split.parquet", SplitTable(index, score, parts.names()))
        num_classes = read_json(suspect.path / "dataset.json")["num_classes"]
        counts = np.bincount(shards.labels[parts.trusted], minlength=num_classes)
        whole = np.bincount(shards.labels, minlength=num_classes)
        summary = {
            "num_trusted": len(parts.trusted),
            "num_poisoned": len(parts.poisoned),
            "num_uncertain": len(parts.uncertain),
            "trusted_class_counts": counts.tolist(),
            "notes": notes(counts, whole, score),
        }
        write_json(artifact.work / "summary.json", summary)
        artifact.publish(time.perf_counter() - start)
    return artifact


def notes(trusted_counts: np.ndarray, all_counts: np.ndarray, score: np.ndarray) -> list[str]:
    """Returns what should make a reader doubt a split: a collapsed class balance, scores that are mostly zero."""
    found, starved = [], starved_classes(trusted_counts, all_counts)
    if len(starved):
        some = ", ".join(map(str, starved[:10])) + (", ..." if len(starved) > 10 else "")
        found.append(
            f"the trusted split has collapsed: {len(starved)} of {int((all_counts > 0).sum())} classes have less than a "
            f"tenth of their share in it (classes {some}); defenses trained on it will lose these classes"
        )
    zero = float(np.mean(score == 0))
    if zero > 0.5:
        found.append(
            f"{zero:.0%} of the scores are exactly 0: the probe's features have collapsed, and which of these samples are "
            "trusted is a matter of their index (D2)"
        )
    return found
