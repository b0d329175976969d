"""The files of an audit and the result of a run, as the commands read them that follow an audit."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.fuzz.seed import Seed, digest
from ray_defense.cli.commands.show import audit_lines
from ray_defense.cli.tables.run_table import run_table
from ray_defense.core.config import from_plain, to_plain
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.data.sources.digits import Digits
from ray_defense.data.split_table import SplitTable, write_split
from ray_defense.data.suspect_dataset import write_manifest, write_rejected, write_shard
from ray_defense.exports.audit_folder import AuditFolder
from ray_defense.exports.comparison import compare_runs
from ray_defense.exports.export_audit import export_audit
from ray_defense.exports.finished_run import read_result
from ray_defense.exports.verify_audit import verify_audit
from ray_defense.pipeline.audit_recipe import with_defense
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.reports.result import ModelResult, Result, ScoreResult
from ray_defense.store.artifacts import Store

_NAMES = ("cat", "dog", "owl")
_NUM_SAMPLES = 6
_SIGNED = ("audit.parquet", "verdict.json", "rejected.csv")

Reader = Callable[[Path], str]


def audit_table_seeds(folder: Path) -> list[Seed]:
    """Returns the table of an audit, whose hash is taken as known."""
    return _signed_seeds(folder, "audit.parquet")


def audit_verdict_seeds(folder: Path) -> list[Seed]:
    """Returns the verdict of an audit, whose hash is taken as known."""
    return _signed_seeds(folder, "verdict.json")


def audit_manifest_seeds(folder: Path) -> list[Seed]:
    """Returns the manifest of an audit."""
    path = write_audit(folder) / "manifest.json"
    data = path.read_bytes()
    seeds = []
    for reader in _READERS.values():

        def read(reader: Reader = reader) -> str:
            return reader(folder)

        seeds.append(Seed(path, data, read))
    return seeds


def result_seeds(folder: Path) -> list[Seed]:
    """Returns the result of a run, which `show` reads from a store."""
    rates = ModelResult("backdoored", 0.9, 0.5, 20, 10, [0.8, 0.95], [0.2, 0.8], 0.9, rounds=[])
    result = Result(
        recipe="digits",
        seed=3,
        score=ScoreResult(0.9, 1.0, 0.5, [3, 4]),
        models={"backdoored": rates},
        weak_attack=True,
        seconds={"ingest": 0.5},
        artifacts={"ingest": "ingest/0123456789abcdef", "split": "split/0123456789abcdef"},
        report="report/0123456789abcdef/report.html",
        versions={"ray_defense": "0.1.0"},
        notes=["a note"],
    )
    path = folder / "result.json"
    write_json(path, to_plain(result))

    def read() -> str:
        found = read_result(folder)
        run_table(found)
        return digest(found)

    return [Seed(path, path.read_bytes(), read)]


def write_audit(folder: Path) -> Path:
    """Writes the files of an audit that are read, with its store, and returns the folder."""
    images = Digits().read("train", 0, _NUM_SAMPLES).images
    index = np.arange(_NUM_SAMPLES)
    labels = index % len(_NAMES)
    parts = np.array(["flagged", "trusted", "uncertain"])[labels]
    score = np.linspace(1, 0, _NUM_SAMPLES)
    store = Store(folder / "store")
    artifacts = {}
    for stage in ("ingest", "split"):
        artifact = store.locate(stage, 1, {}, {})
        with store.claim([artifact]):
            if stage == "ingest":
                shard = write_shard(
                    artifact.work, 0, images, labels=labels, index=index, origin=list("abcdef")
                )
                write_manifest(artifact.work, [shard])
                write_rejected(artifact.work, [], [], [])
                description = {"num_classes": len(_NAMES), "class_names": _NAMES, "notes": []}
                write_json(artifact.work / "dataset.json", description)
            else:
                write_split(artifact.work, SplitTable(index, score, parts))
            artifact.publish(1.0)
        artifacts[stage] = artifact.path.relative_to(folder).as_posix()
    columns = {
        "file": list("abcdef"),
        "class": [_NAMES[label] for label in labels],
        "label": labels,
        "index": index,
        "split": parts,
        "rank": index + 1,
        "score": score,
    }
    pq.write_table(pa.table(columns), folder / "audit.parquet")
    verdict = {
        "verdict": "evidence",
        "labels_suspected": [1],
        "num_flagged": 2,
        "num_poisoned": {"low": 1, "high": 4},
    }
    write_json(folder / "verdict.json", verdict)
    (folder / "rejected.csv").write_text("file,index,reason\n")
    manifest = {
        "source": to_plain(Digits()),
        "configuration": to_plain(named_recipe("folder")),
        "data": "data",
        "store": "store",
        "artifacts": artifacts,
        "data_fingerprint": "0123456789abcdef",
        "num_samples": _NUM_SAMPLES,
        "num_rejected": 0,
        "class_names": _NAMES,
        "files": {},
    }
    write_json(folder / "manifest.json", manifest)
    _sign_audit(folder)
    return folder


def _sign_audit(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in _SIGNED:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    write_json(folder / "manifest.json", manifest)


def _signed_seeds(folder: Path, name: str) -> list[Seed]:
    path = write_audit(folder) / name
    data = path.read_bytes()
    seeds = []
    for reader in _READERS.values():

        def read(reader: Reader = reader) -> str:
            _sign_audit(folder)
            return reader(folder)

        seeds.append(Seed(path, data, read))
    return seeds


def _read_by_show(folder: Path) -> str:
    audit = AuditFolder.open(folder)
    return digest(audit_lines(audit), *audit.columns.values())


def _read_by_verify(folder: Path) -> str:
    damages = verify_audit(folder).damages
    if damages:
        raise InputError(damages[0])
    return digest()


def _read_by_export(form: str) -> Reader:
    def read(folder: Path) -> str:
        # Beside the audit: an export into one is refused.
        out = folder.with_name(f"{folder.name}.export")
        try:
            summary = export_audit(folder, "kept", form, out)
            written = [path.read_bytes() for path in sorted(out.rglob("*.*"))]
            return digest(summary.num_written, *written)
        finally:
            shutil.rmtree(out, ignore_errors=True)

    return read


def _read_by_compare(folder: Path) -> str:
    comparison = compare_runs(folder, folder)
    return digest(comparison.verdicts, comparison.counts, comparison.both)


def _read_by_defend(folder: Path) -> str:
    audit = AuditFolder.open(folder)
    audited = from_plain(Recipe, audit.manifest["configuration"])
    return digest(with_defense(audited, "d_st"))


_READERS: Mapping[str, Reader] = {
    "show": _read_by_show,
    "verify": _read_by_verify,
    "export csv": _read_by_export("csv"),
    "export folder": _read_by_export("folder"),
    "compare": _read_by_compare,
    "defend": _read_by_defend,
}
