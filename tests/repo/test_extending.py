"""A stranger adds units as docs/extending.md says: one new file and one line for each."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
FILE_AND_LINE = re.compile(
    r"The file `(?P<file>[^`]+)`:\n\n```python\n(?P<code>.*?)```\n\n"
    r"One line in `(?P<registry>\w+)`, in `(?P<home>[^`]+)`:\n\n```python\n(?P<line>.*?)```",
    re.DOTALL,
)
UNITS = list(FILE_AND_LINE.finditer(PAGE))
SETTINGS = [
    "attack=corner_pixel",
    "attack.level=200",
    "detect.fct.tau=rotate,darken",
    "detect.detectors=fct,corner_contrast",
    "detect.corner_contrast.side=3",
    "defenses=d_br,drop_flagged",
    "drop_flagged.training.model=small_resnet",
    "drop_flagged.training.epochs=1",
    "probe.epochs=1",
    "probe.intra_epochs=1",
    "backdoored.epochs=1",
    "d_br.rounds=1",
]


@pytest.fixture(scope="module")
def extended_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the units of the page."""
    copy = tmp_path_factory.mktemp("extended")
    shutil.copytree(
        ROOT / "ray_defense",
        copy / "ray_defense",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for unit in UNITS:
        (copy / unit["file"]).write_text(unit["code"])
        home = copy / unit["home"]
        add_line(home, unit["registry"], unit["line"])
    return copy


def add_line(module: Path, registry: str, line: str) -> None:
    """Adds a line at the head of the mapping of a registry."""
    text = module.read_text()
    pattern = re.compile(rf"({registry}: Registry\[.*?\] = Registry\(.*?\{{)", re.DOTALL)
    assert pattern.search(text), f"{module} holds no {registry}"
    module.write_text(pattern.sub(lambda match: f"{match[1]}\n{line}", text, count=1))


def run_extended(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command line of the extended package."""
    return subprocess.run(
        [sys.executable, "-m", "ray_defense", *words],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_page_adds_an_attack_a_transform_a_defense_and_a_detector() -> None:
    registries = [unit["registry"] for unit in UNITS]
    assert registries == ["ATTACKS", "TRANSFORMS", "DEFENSES", "DETECTORS"]


def test_each_unit_takes_one_new_file_and_one_line() -> None:
    for unit in UNITS:
        assert len(unit["line"].strip().splitlines()) == 1
        assert not (ROOT / unit["file"]).exists()


def test_new_units_run_from_the_command_line_to_the_report(extended_package: Path) -> None:
    words = ["run", "digits_badnets", "--executor", "local", "--backend", "numpy", "--quiet"]
    for setting in SETTINGS:
        words += ["--set", setting]
    store = extended_package / "store"
    run = run_extended(extended_package, *words, "--store", str(store))
    assert run.returncode == 0, run.stderr
    assert "Drop flagged" in run.stdout
    (evidence,) = (store / "evidence").glob("*/evidence.parquet")
    assert pq.read_schema(evidence).names == ["index", "fct", "corner_contrast"]
    (report,) = (store / "report").glob("*/report.html")
    assert "Drop flagged" in report.read_text()


def test_new_units_are_listed(extended_package: Path) -> None:
    listing = run_extended(extended_package, "list").stdout
    for name in ("corner_pixel", "darken", "drop_flagged", "corner_contrast"):
        assert name in listing
