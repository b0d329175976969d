"""One folder of PNG files, audited by a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.support import ROOT
from ray_defense.core.random import permutation, stream
from ray_defense.data.sources.parquet import Parquet
from ray_defense.exports.audit_folder import AuditFolder
from tests.support.backdoorbench_records import write_record

_READ_AT_ONCE = 1000


@dataclass(frozen=True)
class AuditedFolder:
    """A folder of PNG files, some of them with a trigger and in another class."""

    file: Path  # Parquet
    size: int  # pixels a side
    num_classes: int  # the first ones
    num_images: int
    num_stamped: int
    patch: int  # pixels a side of the trigger, one pixel from the lower right corner
    trigger: str = "square"  # "square", which is white, or "checkerboard"
    group: int = 1  # so many classes of the file, one after the other, become one
    is_record: bool = False  # in BackdoorBench's layout: the poisoned images lie apart

    def write(self, root: Path) -> "WrittenFolder":
        """Writes the files below a folder."""
        data = root / "data"
        images, labels = self._images_and_labels()
        poisoned = {row: self._stamp(images[row]) for row in self._choose_stamped(labels)}
        if self.is_record:
            labels_before = {row: int(labels[row]) for row in poisoned}
            record = write_record(root / "record", poisoned, labels_before)
            words = (str(record), "--clean", str(data), "--target-label", "0")
            names = frozenset(f"row {row}" for row in poisoned)
        else:
            for row, image in poisoned.items():
                images[row] = image
                labels[row] = 0
            words = (str(data),)
            names = frozenset(f"class-000/{row:06}.png" for row in poisoned)
        for row, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            folder = data / f"class-{label:03}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{row:06}.png")
        return WrittenFolder(words, names)

    def _images_and_labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the first images of the first classes, sorted by class."""
        source = Parquet(str(self.file), size=self.size)
        labels = source.labels("train") // self.group
        chosen = np.flatnonzero(labels < self.num_classes)[: self.num_images]
        if len(chosen) < self.num_images:
            raise ValueError(f"{self.file} has only {len(chosen)} such images")
        parts = []
        for low in range(0, int(chosen[-1]) + 1, _READ_AT_ONCE):
            batch = source.read("train", low, low + _READ_AT_ONCE)
            parts.append(batch.images[np.isin(batch.index, chosen)])
        images = np.concatenate(parts)
        order = np.argsort(labels[chosen], kind="stable")
        return images[order], labels[chosen][order]

    def _choose_stamped(self, labels: np.ndarray) -> set[int]:
        """Returns the rows of images that are stamped, none of them of the class they move to."""
        candidates = np.flatnonzero(labels != 0)
        order = permutation(stream(0, "stamped"), len(candidates))
        return set(candidates[order[: self.num_stamped]].tolist())

    def _stamp(self, image: np.ndarray) -> np.ndarray:
        stamped = image.copy()
        corner = stamped[-self.patch - 1 : -1, -self.patch - 1 : -1]
        corner[:] = 255
        if self.trigger == "checkerboard":
            corner[np.indices(corner.shape[:2]).sum(axis=0) % 2 == 1] = 0
        return stamped


@dataclass(frozen=True)
class WrittenFolder:
    """What an audit is given."""

    words: tuple[str, ...]  # of the command line
    stamped: frozenset[str]  # files as an audit names them


def measure_audit(folder: AuditedFolder, words: Sequence[str]) -> dict[str, Any]:
    """Returns the verdict, what was found, the seconds, and the peak memory of the process.

    Args:
        folder: What is audited.
        words: Further words of the command line.
    """
    with tempfile.TemporaryDirectory() as base:
        written = folder.write(Path(base))
        out = Path(base, "out")
        command = [sys.executable, "-P", "-m", "ray_defense", "audit", *written.words]
        command += ["--out", str(out), "--json", "--quiet", *words]
        start = time.perf_counter()
        with open(Path(base, "answer.json"), "w+") as answer_file:
            process = subprocess.Popen(
                command,
                stdout=answer_file,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                cwd=base,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            wall_s = time.perf_counter() - start
            answer_file.seek(0)
            answer = json.load(answer_file)
        audit = AuditFolder.open(out)
        flagged = audit.members("flagged")
        num_found = 0
        for file in audit.columns["file"][flagged]:
            num_found += file in written.stamped
        return {
            "num_images": folder.num_images,
            "num_classes": folder.num_classes,
            "size": folder.size,
            "patch": folder.patch,
            "trigger": folder.trigger,
            "group": folder.group,
            "record": folder.is_record,
            "num_stamped": len(written.stamped),
            "exit_code": process.returncode,
            "verdict": answer["verdict"],
            "headline": answer["headline"],
            "classes_suspected": answer["classes_suspected"],
            "num_flagged": len(flagged),
            "num_found": num_found,
            "num_false": len(flagged) - num_found,
            "columns": answer["columns"],
            "wall_s": round(wall_s, 1),
            "peak_mib": round(usage.ru_maxrss / 1024, 1),
            "report_bytes": (out / "report.html").stat().st_size,
        }
