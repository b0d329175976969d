"""What a recorded number must say of where it was measured."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from ray_defense.core.store import write_json
from ray_defense.core.versions import versions


def record(name: str, figures: dict[str, Any]) -> Path:
    """Writes `results/<name>.json`: the figures with the command, the machine and the versions; returns its path."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    machine = {"cpu": model, "cores": os.cpu_count(), "gpus": gpus, "system": platform.system(), "shared": True}
    command = " ".join(["python", *(os.path.relpath(part) if os.path.exists(part) else part for part in sys.argv)])
    path = Path(__file__).resolve().parent.parent / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"command": command, "machine": machine, "versions": versions()} | figures)
    return path
