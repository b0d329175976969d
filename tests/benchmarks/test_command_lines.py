"""Every benchmark imports and has a command line, which takes the commands that results record."""

import importlib
import itertools
import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import benchmarks
from benchmarks.__main__ import main, runnable_modules, study_titles
from benchmarks.support import RESULTS
from ray_defense.cli.commands.run import RUN
from ray_defense.cli.parser import CommandParser
from ray_defense.core.files import read_json

WALKED = pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")
ALL_MODULES = [module.name for module in WALKED]
RUNNABLE = list(itertools.chain.from_iterable(map(runnable_modules, study_titles())))
REPRODUCED = sorted(RESULTS.glob("reproduced/*/runs/*.json"))  # of `ray-defense reproduce`
STORED = sorted(set(RESULTS.rglob("*.json")) - set(REPRODUCED))


def import_command(module: str) -> Any:
    """Returns the module with the command line that `python -m` runs."""
    package = importlib.import_module(module)
    if hasattr(package, "__path__"):
        return importlib.import_module(f"{module}.__main__")
    return package


@pytest.mark.parametrize("module", ALL_MODULES)
def test_every_module_imports(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("module", RUNNABLE)
def test_every_study_says_how_it_is_run(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = import_command(module)
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert output.startswith(f"usage: python -m {module} ")
    assert command.__doc__.strip() in output
    assert re.search(rf"^ *python -m {module}\b", command.__doc__, re.MULTILINE)


def test_studies_are_listed_with_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    lines = capsys.readouterr().out.splitlines()
    for name, title in study_titles().items():
        assert title.endswith(".")
        (line,) = filter(re.compile(rf"{name} +").match, lines)
        assert line.endswith(f" {title}")
    for module in RUNNABLE:
        assert f"  python -m {module}" in lines


def test_every_module_with_a_command_line_is_listed() -> None:
    with_main = set()
    for module in ALL_MODULES:
        if hasattr(importlib.import_module(module), "command_parser"):
            with_main.add(module.removesuffix(".__main__"))
    assert with_main == set(RUNNABLE)


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_stored_result_names_a_command_that_its_study_takes(path: Path) -> None:
    words = shlex.split(read_json(path)["command"])
    assert words[:2] == ["python", "-m"]
    module = words[2]
    assert module in RUNNABLE
    study = path.relative_to(RESULTS).parts[0]
    assert module.split(".")[1] == study
    if study != "house":  # whose directories are only on the machine that measured
        import_command(module).command_parser().parse_args(words[3:])


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_stored_result_says_where_it_was_measured(path: Path) -> None:
    result = read_json(path)
    assert set(result["machine"]) == {"cores", "cpu", "gpus", "shared", "system"}
    assert {"python", "ray", "torch", "ray_defense"} <= set(result["versions"])


@pytest.mark.parametrize("path", REPRODUCED, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_a_reproduced_run_says_how_it_is_repeated_and_where_it_was_measured(path: Path) -> None:
    run = read_json(path)
    program, command, *words = shlex.split(run["command"])
    assert (program, command) == ("ray-defense", "run")
    parser = CommandParser("run", "")
    RUN.add_options(parser)
    assert parser.parse_args(words).recipe == run["recipe"]
    assert run["machine"]
    assert {"python", "torch", "ray_defense"} <= set(run["versions"])
