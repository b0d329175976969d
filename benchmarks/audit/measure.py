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

_READ_AT_ONCE = 1000


@dataclass(frozen=True)
class AuditedFolder:
    """A folder of PNG files, some of them with a trigger and in another class."""

    file: Path  # Parquet
    size: int  # pixels a side
    num_classes: int  # the first ones of the file
    num_images: int
    num_stamped: int
    patch: int  # pixels a side of the white square, one pixel from the lower right corner

    def write(self, root: Path) -> set[str]:
        """Writes the files and returns which are stamped, by their names."""
        source = Parquet(str(self.file), size=self.size)
        labels = source.labels("train")
        chosen = np.flatnonzero(labels < self.num_classes)[: self.num_images]
        if len(chosen) < self.num_images:
            raise ValueError(f"{self.file} has only {len(chosen)} such images")
        candidates = chosen[labels[chosen] != 0]
        order = permutation(stream(0, "stamped"), len(candidates))
        stamped = set(candidates[order[: self.num_stamped]].tolist())
        names = set()
        wanted = set(chosen.tolist())
        for low in range(0, int(chosen[-1]) + 1, _READ_AT_ONCE):
            batch = source.read("train", low, low + _READ_AT_ONCE)
            for index, image, label in zip(batch.index, batch.images, batch.labels, strict=True):
                if int(index) not in wanted:
                    continue
                if int(index) in stamped:
                    image[-self.patch - 1 : -1, -self.patch - 1 : -1] = 255
                    label = 0
                    names.add(f"{index:06}.png")
                folder = root / f"class-{label:03}"
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(folder / f"{index:06}.png")
        return names


def measure_audit(folder: AuditedFolder, words: Sequence[str]) -> dict[str, Any]:
    """Returns the verdict, what was found, the seconds, and the peak memory of the process.

    Args:
        folder: What is audited.
        words: Further words of the command line.
    """
    with tempfile.TemporaryDirectory() as base:
        data = Path(base, "data")
        stamped = folder.write(data)
        out = Path(base, "out")
        command = [sys.executable, "-P", "-m", "ray_defense", "audit", str(data)]
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
            num_found += Path(file).name in stamped
        return {
            "num_images": folder.num_images,
            "num_classes": folder.num_classes,
            "size": folder.size,
            "patch": folder.patch,
            "num_stamped": len(stamped),
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
