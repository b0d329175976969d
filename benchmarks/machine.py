"""What a recorded number must say of where it was measured."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from ray_defense.core.files import write_json
from ray_defense.core.versions import versions


def _portable(part: str, root: Path) -> str:
    """Returns a word of a command line without what only this machine has: a path outside the checkout is DIR."""
    if not os.path.exists(part):
        return part
    path = Path(part).resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else "DIR"


def record(name: str, figures: dict[str, Any]) -> Path:
    """Writes `results/<name>.json`: the figures with the command, the machine and the versions; returns its path."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    machine = {"cpu": model, "cores": os.cpu_count(), "gpus": gpus, "system": platform.system(), "shared": True}
    root = Path(__file__).resolve().parent.parent
    command = " ".join(["python", *(_portable(part, root) for part in sys.argv)])
    path = root / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"command": command, "machine": machine, "versions": versions()} | figures)
    return path
