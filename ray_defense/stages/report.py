"""evaluation --report--> report.html: gathers from the artifacts what the page shows."""

import time
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from ray_defense.core.config import to_plain
from ray_defense.core.files import read_json, write_bytes
from ray_defense.data.sources import Source
from ray_defense.data.suspect_dataset import MANIFEST, ShardSet
from ray_defense.reports.run_page import Example, ReportData, Round, Suspect, render
from ray_defense.stages.context import Context
from ray_defense.stages.detect import Score, draw_key
from ray_defense.store.artifacts import Artifact
from ray_defense.training.views import to_float
from ray_defense.transforms import apply_all

VERSION = 1
NUM_SUSPECTS, NUM_EXAMPLES = 40, 10


def run(
    result: dict[str, Any], recipe: Any, score: Score, source: Source, inputs: dict[str, Artifact], context: Context
) -> Artifact:
    """Writes `report.html` of a run with the artifacts `inputs` (suspect, evaluation, ...) and the numbers `result`."""
    artifact = context.place("report", VERSION, recipe, inputs, result=result)
    with context.store.claim(artifact) as missing:
        if missing:
            start = time.perf_counter()
            result = result | {"report": str(artifact.path / "report.html")}
            page = render(gather(result, recipe, score, source, inputs, context.seed))
            write_bytes(artifact.work / "report.html", page.encode())
            artifact.publish(time.perf_counter() - start)
    return artifact


def gather(
    result: dict[str, Any], recipe: Any, score: Score, source: Source, inputs: dict[str, Artifact], seed: int
) -> ReportData:
    """Returns all that the page shows."""
    suspect, evaluation = inputs["suspect"].path, inputs["evaluation"].path
    shards, names = ShardSet(suspect), read_json(suspect / "dataset.json")["class_names"]
    origins = pq.read_table(suspect / MANIFEST, columns=["origin"])["origin"]
    table = pq.read_table(evaluation / "samples.parquet")
    scores, split = table["score"].to_numpy(), np.array(table["split"].to_pylist())
    poisoned = table["poisoned"].to_numpy() if "poisoned" in table.column_names else None

    def picture(position: int) -> np.ndarray:
        return shards.open(int(shards.shard[position])).images(shards.row[position : position + 1].astype(np.int64))[0]

    def suspicious(rank: int, position: int) -> Suspect:
        image, index = picture(position), shards.index[position : position + 1]
        moved = apply_all(score.tau, to_float(torch.from_numpy(image[None])), draw_key(seed, 0), index)
        transformed = (moved[0].permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy()
        return Suspect(
            index=int(index[0]),
            rank=rank,
            score=float(scores[position]),
            label=names[shards.labels[position]],
            image=image,
            transformed=transformed,
            poisoned=None if poisoned is None else bool(poisoned[position]),
            origin=origins[position].as_py(),
        )

    def example(position: int) -> Example:
        index = int(shards.index[position])
        clean = source.read("train", index, index + 1)
        original = names[int(table["true_label"][position].as_py())]
        return Example(index, names[shards.labels[position]], original, picture(position), clean.images[0])

    top = np.argsort(-scores, kind="stable")[:NUM_SUSPECTS]
    examples = [] if poisoned is None else np.flatnonzero(poisoned)[:NUM_EXAMPLES]
    rounds = (read_json(evaluation / "evaluation.json").get("d_br") or {}).get("rounds", [])
    return ReportData(
        result=result,
        config=to_plain(recipe),
        scores=scores,
        poisoned=poisoned,
        trusted_threshold=float(scores[split == "trusted"].max(initial=scores.min())),
        poisoned_threshold=float(scores[split == "poisoned"].min(initial=scores.max())),
        trusted_class_counts=result["score"]["trusted_class_counts"],
        suspects=tuple(suspicious(rank + 1, int(position)) for rank, position in enumerate(top)),
        poisoned_examples=tuple(example(int(position)) for position in examples),
        rounds=tuple(Round(number + 1, one["acc"], one["asr"]) for number, one in enumerate(rounds)),
        class_names=tuple(names),
    )
