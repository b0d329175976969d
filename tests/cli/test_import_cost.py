"""Commands that compute nothing import nothing heavy, so that they answer at once."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import ray_defense
from tests.support import tiny

HEAVY = ("torch", "ray", "pyarrow", "sklearn", "scipy", "PIL", "matplotlib")
# The report stands on the last line of standard error, since commands print to standard output.
REPORT = f"""
heavy = [name for name in {HEAVY!r} if name in sys.modules]
print(code, len(sys.modules), *heavy, file=sys.stderr)
"""
COMMAND = f"""
import sys
from ray_defense.cli.main import main
code = main(sys.argv[1:])
{REPORT}
"""
CACHED_RUN = f"""
import sys
from functools import partial
from pathlib import Path
from ray_defense.cli.main import main
from ray_defense.pipeline import recipes
from tests.support import tiny

folder, store = sys.argv[1:]
recipes.RECIPES = {{"tiny": partial(tiny.recipe, Path(folder))}}
code = main(["run", "tiny", "--executor", "ray", "--store", store, "--quiet"])
{REPORT}
"""


@dataclass(frozen=True)
class FinishedCommand:
    """What a command printed, how it ended, and what it imported."""

    output: str
    exit_code: int
    num_modules: int
    heavy: list[str]


def run_apart(code: str, *arguments: str) -> FinishedCommand:
    """Runs code that ends with `REPORT` in a process of its own."""
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    exit_code, num_modules, *heavy = finished.stderr.splitlines()[-1].split()
    return FinishedCommand(finished.stdout, int(exit_code), int(num_modules), heavy)


# Measured on Python 3.11: 457 modules, as a recipe holds every defense, and 350.
@pytest.mark.parametrize(
    ("words", "max_modules"), [(("list",), 500), (("demo", "--print-config"), 420)]
)
def test_a_command_that_computes_nothing_imports_nothing_heavy(
    words: tuple[str, ...], max_modules: int
):
    finished = run_apart(COMMAND, *words)
    assert finished.exit_code == 0
    assert "digits_badnets" in finished.output
    assert finished.heavy == []
    assert finished.num_modules <= max_modules


def test_a_cached_run_on_ray_imports_neither_ray_nor_torch(digits: Path, tmp_path: Path):
    store = tmp_path / "store"
    recipe = tiny.recipe(digits)
    result = ray_defense.run(recipe, store=store, executor="local", backend="numpy")
    written = (store / "result.json").read_bytes()
    finished = run_apart(CACHED_RUN, str(digits), str(store))
    assert finished.exit_code == 0
    assert f"report.html: {result.report}\n" in finished.output
    assert "ray" not in finished.heavy
    assert "torch" not in finished.heavy
    assert (store / "result.json").read_bytes() == written


def test_the_help_of_the_export_imports_nothing_heavy():
    finished = run_apart(COMMAND, "export", "nowhere", "--kept", "--as", "tar", "--out", "o")
    assert finished.exit_code == 2
    assert finished.heavy == []
