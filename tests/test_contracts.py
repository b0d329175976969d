"""The contracts of the code itself: who may import whom, and that importing does nothing."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def python(code: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the package, to be broken."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ray_defense", tmp_path / "ray_defense", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept():
    done = python(LINT)
    assert done.returncode == 0, done.stdout + done.stderr
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert f"Contracts: {len(contracts)} kept, 0 broken" in done.stdout and len(contracts) >= 4


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("losses/cross_entropy.py", "import ray", "Only cluster imports ray"),
        ("stages/pipeline.py", "def f():\n    import ray.train", "Only cluster imports ray"),
        ("stages/score.py", "from ffcv.loader import Loader", "Only data imports ffcv"),
        ("core/local.py", "from ray_defense.models import MODELS", "Floors"),
        ("attacks/sig.py", "from ray_defense.transforms import TRANSFORMS", "Floors"),
        ("data/training_set.py", "from ray_defense.training.views import view", "Floors"),
        ("defenses/d_br.py", "from ray_defense.core import truth", "A defense cannot look at the answers"),
        ("stages/defend.py", "from ray_defense.stages.poison import Poison", "A defense cannot look at the answers"),
    ],
)
def test_a_broken_contract_is_caught(copy, file, line, contract):
    path = copy / "ray_defense" / file
    path.write_text(f"{path.read_text()}\n\n{line}\n")
    done = python(LINT, copy)
    broken = [text for text in done.stdout.splitlines() if text.endswith("BROKEN")]
    assert done.returncode == 1 and any(text.startswith(contract) for text in broken), done.stdout


def test_poison_and_evaluate_alone_import_the_truth():
    code = "import grimp; graph = grimp.build_graph('ray_defense', cache_dir=None); "
    code += "print(*sorted(graph.find_modules_that_directly_import('ray_defense.core.truth')))"
    done = python(code)
    assert done.stdout.split() == ["ray_defense.stages.evaluate", "ray_defense.stages.poison"], done.stderr


def test_every_package_of_the_library_has_its_floor():
    (floors, *_) = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    named = {name.strip() for layer in floors["layers"] for name in layer.split("|")}
    below = [path for path in (ROOT / "ray_defense").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert named == {f"ray_defense.{path.stem}" for path in below if path.name != "__init__.py"}


def test_importing_the_library_loads_neither_ray_nor_ffcv():
    code = "import sys, ray_defense; light = set(sys.modules); import ray_defense.api; "
    code += "print({'ray', 'ffcv'} & set(sys.modules), {'torch', 'numpy'} & light)"
    done = python(code)
    assert done.stdout == "set() set()\n", done.stderr


def test_importing_every_module_prints_seeds_and_sets_nothing():
    code = """
import importlib, pathlib, random, sys, threading
import numpy, torch
import rich.progress  # draws from the global generator when it is imported; the command line alone needs it
def look():
    states = random.getstate(), repr(numpy.random.get_state()), torch.random.get_rng_state().tolist()
    return states, torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()
before, argv = look(), list(sys.argv)
import ray_defense
root = pathlib.Path(ray_defense.__file__).parent  # pkgutil.walk_packages would import the packages first
names = sorted(".".join(path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob("*.py"))
names = [name.removesuffix(".__init__") for name in names]
assert len(names) > 80, names
for name in (name for name in names if not name.startswith("ray_defense.cluster")):
    importlib.import_module(name)
    assert look() == before, name
assert sys.argv == argv and "ray" not in sys.modules and "ffcv" not in sys.modules
assert not torch.cuda.is_initialized()
assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
for name in names:
    importlib.import_module(name)
    assert look() == before, name
import ray
assert not ray.is_initialized()
"""
    done = python(code)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout + done.stderr == ""
