"""All that is to be known of a GPU in under eight minutes, by one command on one GPU.

    python -m benchmarks.gpu --data DIR --out DIR

The parts: parity with the CPU; ingest; throughput over bare loops; a profile of one training
epoch; detection; and D-BR on BadNets from end to end. Each leaves DIR/gpu/<part>.json as soon as
it knows something. The machine needs torch and torchvision and neither Ray nor FFCV nor a network;
packages that it lacks may come as wheels. docs/scaling.md says how.
"""

import argparse
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.support import RESULTS, StudyRun, module_parser

if TYPE_CHECKING:
    from benchmarks.gpu.setting import GpuSetting

MODULE = "benchmarks.gpu"
PART_NAMES = ("parity", "ingest", "bounds", "profile", "detection", "removal")
_NEEDED = ("bounds", "profile", "detection", "removal")  # they read what ingest made


def add_wheels(wheels: Path, folder: Path) -> None:
    """Unpacks wheels into a folder and lets Python import from it what is not installed."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    sys.path.append(str(folder))


def chosen_parts(names: Sequence[str]) -> list[str]:
    """Returns the parts to run in their order; ingest comes along where another part needs it."""
    chosen = set(names or PART_NAMES)
    if chosen & set(_NEEDED):
        chosen.add("ingest")
    return [name for name in PART_NAMES if name in chosen]


def measure_parts(
    setting: "GpuSetting", names: Sequence[str], budget_s: float, study: StudyRun
) -> None:
    """Runs the parts one after the other; time that one leaves goes to those after it."""
    from benchmarks.gpu.parts import PARTS, run_part
    from benchmarks.gpu.setting import Deadline

    end = time.perf_counter() + budget_s
    for position, name in enumerate(names):
        shares = [PARTS[other][1] for other in names[position:]]
        seconds_left = end - time.perf_counter()
        if seconds_left <= 0 and name != "ingest":
            study.store(name, {"error": "no time was left"})
            continue
        deadline = Deadline.after(seconds_left * shares[0] / sum(shares))
        run_part(name, setting, deadline, partial(_store_part, study, name))


def _store_part(study: StudyRun, name: str, figures: Mapping[str, Any]) -> None:
    study.store(name, {"part": name, **figures})


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = module_parser(MODULE, __doc__)
    parser.add_argument("--out", type=Path, default=RESULTS, help="(default: results/)")
    parser.add_argument(
        "--data",
        type=Path,
        help="the folder of cifar10-{train,test}.parquet (default: RAY_DEFENSE_DATA)",
    )
    parser.add_argument("--wheels", type=Path, help="a folder of wheels of what is not installed")
    parser.add_argument("--budget-s", type=float, default=460, help="seconds (default: 460)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes on the CPU, for tests")
    parser.add_argument(
        "--part",
        action="append",
        choices=PART_NAMES,
        default=[],
        help="repeatable; all by default",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the parts."""
    parser = command_parser()
    options = parser.parse_args(arguments)
    data = options.data or os.environ.get("RAY_DEFENSE_DATA")
    if not data:
        parser.error("say where CIFAR-10 is, by --data or RAY_DEFENSE_DATA")
    with tempfile.TemporaryDirectory() as folder:
        if options.wheels is not None:
            add_wheels(options.wheels, Path(folder) / "packages")
        import torch

        from benchmarks.gpu.setting import FULL, TINY, GpuSetting
        from ray_defense.store.artifacts import Store

        if not options.tiny and options.device == "cuda" and not torch.cuda.is_available():
            parser.error("torch sees no GPU: take --device cpu, or --tiny")
        setting = GpuSetting(
            device=torch.device("cpu" if options.tiny else options.device),
            data=Path(data).resolve(),
            store=Store(Path(folder) / "store"),
            sizes=TINY if options.tiny else FULL,
        )
        words = sys.argv[1:] if arguments is None else arguments
        study = StudyRun(MODULE, tuple(words), options.out)
        measure_parts(setting, chosen_parts(options.part), options.budget_s, study)


if __name__ == "__main__":
    main()
