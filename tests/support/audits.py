"""Small audit folders of real files, as `ray-defense audit` leaves them."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.config import to_plain
from ray_defense.core.files import file_hash, write_json
from ray_defense.core.version import VERSION
from ray_defense.data.sources.protocol import Source
from ray_defense.data.split_table import read_split
from ray_defense.data.suspect_dataset import MANIFEST, REJECTED, SuspectDataset
from ray_defense.detectors.decision.fractions import Fractions
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.run import run_plan
from ray_defense.stages.detect import DetectConfig
from ray_defense.stages.ingest import IngestConfig
from ray_defense.store.artifacts import Store
from tests.support.encoded_images import encode_image
from tests.support.steps import local_executor

VERDICT: dict[str, Any] = {
    "verdict": "evidence",
    "reasons": [],
    "false_discovery_rate": 0.1,
    "alarm_level": 0.05,
    "labels_suspected": [1],
    "num_samples": 0,
    "num_flagged": 0,
    "num_poisoned": {"low": 1, "high": 4},
    "detectors_agree": ["fct"],
    "columns": [],
    "tests": [],
    "power": None,
}


@dataclass(frozen=True)
class SmallAudit:
    """An audit of a few samples, of which some are flagged, some uncertain and some trusted."""

    root: Path

    def rows(self, *parts: str) -> list[dict[str, Any]]:
        """Returns the rows of some parts, or of all, by ascending index."""
        rows = pq.read_table(self.root / "audit.parquet").to_pylist()
        chosen = [row for row in rows if not parts or row["split"] in parts]
        return sorted(chosen, key=lambda row: row["index"])

    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.root / "manifest.json").read_text())
        return manifest

    def change_manifest(self, **changes: Any) -> None:
        """Replaces keys of the manifest, None to leave one out."""
        manifest = {**self.manifest(), **changes}
        kept = {key: value for key, value in manifest.items() if value is not None}
        write_json(self.root / "manifest.json", kept)

    def sign(self) -> None:
        """Makes the manifest agree with the files as they are now."""
        files = {name: file_hash(self.root / name) for name in self.manifest()["files"]}
        self.change_manifest(files=files)


def picture(seed: int, side: int = 20) -> np.ndarray:
    """Returns noise, uint8 [side, side, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def write_photos(root: Path, names: tuple[str, ...] = ("cat", "dog"), count: int = 8) -> Path:
    """Writes `train/<class>/0.png`, `1.png`, ... of distinct pictures; returns `root`."""
    for label, name in enumerate(names):
        folder = root / "train" / name
        folder.mkdir(parents=True)
        for number in range(count):
            data = encode_image(picture(1000 * label + number))
            (folder / f"{number}.png").write_bytes(data)
    return root


def small_recipe(source: Source, jpeg_quality: int | None = None) -> Recipe:
    """Returns a recipe that flags a quarter of the samples and trusts a quarter."""
    return Recipe(
        name="small_audit",
        source=source,
        ingest=IngestConfig(shard_size=100, jpeg_quality=jpeg_quality),
        probe=ProbeConfig(SmallResNet(width=8), epochs=1, intra_epochs=1, batch_size=8),
        detect=DetectConfig(batch_size=25, block_size=50),
        decide=Fractions(trusted_fraction=0.25, flagged_fraction=0.25),
        backdoored=None,
        defenses=(),
    )


def write_audit(root: Path, source: Source, *, jpeg_quality: int | None = None) -> SmallAudit:
    """Audits a source: the store is real, and the verdict is `VERDICT`.

    Args:
        root: The folder of the audit.
        source: The data.
        jpeg_quality: Of the shards; None for raw pixels.
    """
    recipe = small_recipe(source, jpeg_quality)
    plan = run_plan(plan_recipe(recipe, Store(root / "store")), local_executor(), "split")
    artifacts = plan.artifacts("split")
    ingest = artifacts["ingest"].path
    dataset = SuspectDataset(ingest)
    split = read_split(artifacts["split"].path)
    origins = pq.read_table(ingest / MANIFEST)["origin"].to_pylist()
    order = np.argsort(-split.score, kind="stable")
    columns = {
        "file": [origins[position] for position in order],
        "class": [dataset.class_names[label] for label in dataset.labels[order]],
        "label": dataset.labels[order],
        "index": dataset.index[order],
        "split": split.part[order].tolist(),
        "rank": np.arange(1, len(order) + 1),
        "score": split.score[order],
        "fct": split.score[order],
        "p": pa.nulls(len(order), pa.float64()),
        "reasons": ["fct" if part == "flagged" else "" for part in split.part[order]],
        "duplicates": pa.nulls(len(order), pa.int64()),
    }
    table = pa.table(columns)
    pq.write_table(table, root / "audit.parquet")
    write_rows(root / "audit.csv", table.column_names, table.to_pylist())
    rejected = pq.read_table(ingest / REJECTED).rename_columns(["index", "file", "reason"])
    write_rows(root / "rejected.csv", ["file", "index", "reason"], rejected.to_pylist())
    num_flagged = int((split.part == "flagged").sum())
    counts = {"num_samples": len(order), "num_flagged": num_flagged}
    write_json(root / "verdict.json", {**VERDICT, **counts})
    (root / "report.html").write_text("<!doctype html><title>audit</title>")
    names = ("audit.parquet", "audit.csv", "rejected.csv", "verdict.json", "report.html")
    manifest = {
        "ray_defense": VERSION,
        "date": "2026-01-02T03:04:05+00:00",
        "command": "ray-defense audit DATA",
        "data": getattr(source, "path", ""),
        "source": to_plain(source),
        "configuration": to_plain(recipe),
        "store": "store",
        "artifacts": {
            stage: artifact.path.relative_to(root).as_posix()
            for stage, artifact in artifacts.items()
        },
        "data_fingerprint": artifacts["ingest"].key,
        "num_samples": len(order),
        "num_rejected": len(rejected),
        "class_names": list(dataset.class_names),
        "files": {name: file_hash(root / name) for name in names},
        "versions": artifacts["split"].versions,
    }
    write_json(root / "manifest.json", manifest)
    return SmallAudit(root)


def write_rows(path: Path, header: list[str], rows: list[dict[str, Any]]) -> None:
    """Writes a CSV."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
