"""The contracts of the code itself: who may import whom."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = (
    "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
)
IMPORTERS = """
import grimp
graph = grimp.build_graph("ray_defense", cache_dir=None, exclude_type_checking_imports=True)
print(*sorted(graph.find_modules_that_directly_import("ray_defense.store.truth")))
"""


def run_python(code: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs code in a Python of its own, in the folder."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def copied_package(tmp_path: Path) -> Path:
    """A folder with a copy of the package, to be broken."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ray_defense", tmp_path / "ray_defense", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def read_contracts() -> list[dict[str, object]]:
    """Returns the contracts that pyproject.toml states."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts: list[dict[str, object]] = project["tool"]["importlinter"]["contracts"]
    return contracts


def test_every_contract_is_kept() -> None:
    lint = run_python(LINT)
    num_contracts = len(read_contracts())
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert f"Contracts: {num_contracts} kept, 0 broken" in lint.stdout
    assert num_contracts >= 6


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("losses/cross_entropy.py", "import ray", "Only cluster imports ray"),
        ("pipeline/run.py", "def f():\n    import ray.train", "Only cluster imports ray"),
        ("stages/detect.py", "from ffcv.loader import Loader", "Only the FFCV reader imports ffcv"),
        ("execution/local.py", "from ray_defense.models import MODELS", "Floors"),
        ("attacks/sig.py", "from ray_defense.transforms import TRANSFORMS", "Floors"),
        ("data/training_set.py", "from ray_defense.training.views import view", "Floors"),
        (
            "defenses/d_br.py",
            "from ray_defense.store import truth",
            "Only poisoning and evaluation",
        ),
        ("stages/defend.py", "import ray_defense.store.truth", "Only poisoning and evaluation"),
        (
            "detectors/fct.py",
            "def f():\n    from ray_defense.store import truth",
            "Only poisoning and evaluation",
        ),
        ("cluster/blocks.py", "from ray_defense.losses import LOSSES", "The cluster knows no"),
        ("scores/split.py", "from ray_defense.store.artifacts import Store", "Units and pages"),
        ("reports/result.py", "from ray_defense.data import limits", "Units and pages"),
    ],
)
def test_a_broken_contract_is_caught(
    copied_package: Path, file: str, line: str, contract: str
) -> None:
    path = copied_package / "ray_defense" / file
    path.write_text(f"{path.read_text()}\n\n{line}\n")
    lint = run_python(LINT, copied_package)
    broken = [text for text in lint.stdout.splitlines() if text.endswith("BROKEN")]
    assert lint.returncode == 1
    assert any(text.startswith(contract) for text in broken), lint.stdout


def test_poisoning_and_evaluation_alone_import_the_truth() -> None:
    importers = run_python(IMPORTERS)
    expected = ["ray_defense.stages.evaluation", "ray_defense.stages.poison"]
    assert importers.stdout.split() == expected, importers.stderr


def test_every_package_of_the_library_has_its_floor() -> None:
    layers = read_contracts()[0]["layers"]
    assert isinstance(layers, list)
    floors = set()
    for layer in layers:
        for name in layer.split("|"):
            floors.add(name.strip())
    modules = set()
    for path in (ROOT / "ray_defense").iterdir():
        if path.suffix == ".py" or (path / "__init__.py").exists():
            modules.add(f"ray_defense.{path.stem}")
    assert floors == modules - {"ray_defense.__init__"}


def test_no_module_imports_in_a_circle() -> None:
    code = """
import grimp
graph = grimp.build_graph("ray_defense", cache_dir=None, exclude_type_checking_imports=True)
for module in sorted(graph.modules):
    for imported in graph.find_modules_directly_imported_by(module):
        chain = graph.find_shortest_chain(importer=imported, imported=module)
        if chain is not None:
            print(*chain)
"""
    circles = run_python(code)
    assert circles.returncode == 0, circles.stderr
    assert circles.stdout == ""
