"""What studies share: command line, machine, results that are kept as they come, fresh processes.

A study is a package of `benchmarks`. It leaves its numbers in `results/<study>/`, each file with
the command, the date, the machine and the versions that it was measured with.
"""

import argparse
import contextlib
import datetime
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from ray_defense.core.config import fingerprint, override
from ray_defense.core.files import json_bytes, read_json, write_json
from ray_defense.core.versions import installed_versions
from ray_defense.pipeline.recipe import Recipe
from ray_defense.reports.result import Result

Output = TypeVar("Output")

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
UNFINISHED = ROOT / ".cache" / "benchmarks"  # what interrupted studies have measured so far
_OF_ONE_STORE = ("artifacts", "report", "versions")  # paths; versions stand beside the figures
_SHOWN = 300  # characters of a measurement, while a study runs


def module_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Returns the parser of a module that `python -m` runs, with its docstring as it is."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def study_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Returns the parser of a study's command line, with the option --results.

    Args:
        module: The module of the study, `benchmarks.scoring`.
        description: Its docstring.
    """
    parser = module_parser(module, description)
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        metavar="DIR",
        help="where the numbers are stored, in a folder named like the study (default: results/)",
    )
    return parser


def add_executor_options(parser: argparse.ArgumentParser) -> None:
    """Adds --executor and --backend, as `ray-defense run` has them."""
    parser.add_argument("--executor", choices=("ray", "local"), default="ray")
    parser.add_argument("--backend", choices=("auto", "ffcv", "numpy"), default="auto")


def add_set_option(parser: argparse.ArgumentParser) -> None:
    """Adds --set KEY=VALUE, as `ray-defense run` has it."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="replace a value of the recipe: probe.epochs=4; repeatable",
    )


def changed_recipe(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """Returns a recipe with the values of KEY=VALUE assignments.

    Raises:
        InputError: For an unknown key, or a value that does not fit.
    """
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        recipe = override(recipe, key, value)
    return recipe


def portable_result(result: Result) -> dict[str, Any]:
    """Returns the numbers of a run as plain data, without what only its store has."""
    plain = asdict(result)
    for name in _OF_ONE_STORE:
        del plain[name]
    return plain


@dataclass(frozen=True)
class StudyRun:
    """One call of a study, which keeps what it measures so that the same call can go on."""

    module: str
    arguments: tuple[str, ...]
    results: Path

    @property
    def command(self) -> str:
        """The command line, without what only this machine has."""
        words = [_portable(word) for word in self.arguments]
        return shlex.join(["python", "-m", self.module, *words])

    @property
    def folder(self) -> Path:
        """Where the results of the study stand."""
        return self.results / self.module.split(".")[1]

    @property
    def unfinished_file(self) -> Path:
        """Where measurements are kept until the study is over."""
        described = {
            "arguments": self.arguments,
            "results": str(self.results.resolve()),
            "versions": installed_versions(),
        }
        return UNFINISHED / f"{self.module}-{fingerprint(described)}.json"

    def measure(self, key: str, function: Callable[[], Any]) -> Any:
        """Returns a measurement, made now or kept from an interrupted call, as JSON data.

        Args:
            key: What is measured.
            function: Measures it; its output must be plain data.
        """
        kept = {}
        if self.unfinished_file.exists():
            kept = read_json(self.unfinished_file)
        if key in kept:
            print(f"{key}: kept in {self.unfinished_file}", file=sys.stderr, flush=True)
            return kept[key]
        kept[key] = function()
        self.unfinished_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.unfinished_file, kept)
        measured = read_json(self.unfinished_file)[key]
        print(f"{key}: {str(measured)[:_SHOWN]}", file=sys.stderr, flush=True)
        return measured

    def store(self, name: str, figures: dict[str, Any]) -> Path:
        """Writes `<results>/<study>/<name>.json` and prints its path.

        Args:
            name: Of the file.
            figures: What was measured, plain data.

        Returns:
            The path of the file.
        """
        result = {
            "command": self.command,
            "date": datetime.date.today().isoformat(),
            "machine": describe_machine(),
            "versions": installed_versions(),
            **figures,
        }
        path = self.folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(json_bytes(result))
        print(path)
        return path


@contextlib.contextmanager
def open_study(module: str, arguments: Sequence[str] | None, results: Path) -> Iterator[StudyRun]:
    """Gives the body a call of a study; once it ends well, kept measurements are removed.

    Args:
        module: The module of the study.
        arguments: Of its command line; None for those of this process.
        results: The folder of results.
    """
    words = sys.argv[1:] if arguments is None else arguments
    study = StudyRun(module, tuple(words), results)
    yield study
    study.unfinished_file.unlink(missing_ok=True)


def _portable(word: str) -> str:
    """Returns a word of a command line; a path outside of the checkout becomes DIR.

    The path may follow a name: `before=/path`.
    """
    name, equals, value = word.partition("=")
    if equals:
        return f"{name}={_portable(value)}"
    if not os.path.isabs(word) and not os.path.exists(word):
        return word
    path = Path(word).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else "DIR"


def describe_machine() -> dict[str, Any]:
    """Returns what a number must say of the machine it was measured on."""
    import torch

    cpu = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":")[1].strip()
                break
    gpus = []
    for number in range(torch.cuda.device_count()):
        gpus.append(torch.cuda.get_device_name(number))
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "gpus": gpus,
        "system": platform.system(),
        "shared": True,
    }


def run_in_fresh_process(function: Callable[..., Output], *arguments: Any) -> Output:
    """Returns `function(*arguments)`, called in a new process: no warm caches, no old memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()
