"""The image, with CUDA and without, is built from one lock that covers what the project needs."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("ffcv", "hpo")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
LOCK = (DEPLOY / "requirements.lock").read_text()
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def locked_versions(text: str) -> dict[str, str]:
    """Returns the version of each package of a lock, by its name."""
    return dict(re.findall(r"^([a-z0-9][\w.-]*)==(\S+)", text, re.MULTILINE))


@pytest.fixture(scope="module")
def cpu_part(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The content of `torch.txt` and `common.lock`, as the image without CUDA makes them."""
    folder = tmp_path_factory.mktemp("lock")
    (command,) = re.findall(r"^RUN (python deploy/split_lock.py \S+) deploy ", DOCKERFILE, re.M)
    words = [sys.executable, *command.split()[1:], str(folder)]
    subprocess.run(words, cwd=ROOT, check=True)
    return (folder / "torch.txt").read_text(), (folder / "common.lock").read_text()


def test_the_lock_covers_what_the_project_needs_in_versions_that_it_takes() -> None:
    locked = locked_versions(LOCK)
    texts = list(PROJECT["dependencies"])
    for extra in EXTRAS:
        texts.extend(PROJECT["optional-dependencies"][extra])
    assert len(texts) > 15
    for requirement in map(Requirement, texts):
        name = canonicalize_name(requirement.name)
        assert name in locked, f"make the lock again: {name} is not in it"
        assert requirement.specifier.contains(locked[name], prereleases=True), name
    # The project itself is built with what the image has.
    (build,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert Requirement(build).specifier.contains(locked["setuptools"])


def test_the_lock_says_how_it_was_made_and_holds_a_hash_of_each_package() -> None:
    (command,) = re.findall(r"^#\s+(uv pip compile .+)$", LOCK, re.MULTILINE)
    for extra in EXTRAS:
        assert f"--extra {extra}" in command
    assert "--generate-hashes" in command
    (python,) = re.findall(r"--python-version (\S+)", command)
    assert f"FROM python:{python}-" in DOCKERFILE
    packages = runpy.run_path(str(DEPLOY / "split_lock.py"))["read_lock"](LOCK)
    assert packages.keys() == locked_versions(LOCK).keys()
    assert all("--hash=sha256:" in lines for lines in packages.values())


def test_the_lock_holds_the_versions_of_torch_that_are_tested() -> None:
    tested = locked_versions((DEPLOY / "tested_versions.txt").read_text())
    assert set(tested) == {"torch", "torchvision"}
    locked = locked_versions(LOCK)
    assert {name: locked[name] for name in tested} == tested


def test_the_image_without_cuda_has_all_of_the_lock_but_cuda(cpu_part: tuple[str, str]) -> None:
    torch, common = map(locked_versions, cpu_part)
    locked = locked_versions(LOCK)
    assert set(torch) == {"torch", "torchvision"}
    assert {**torch, **common}.items() <= locked.items()
    left_out = set(locked) - set(torch) - set(common)
    assert left_out
    for name in left_out:
        assert name.startswith(("nvidia-", "cuda-", "triton"))
    assert not [name for name in common if "nvidia" in name or "cuda" in name]
    assert cpu_part[1].count("--hash=sha256:") > len(common)


def test_torch_and_torchvision_without_cuda_come_from_one_index() -> None:
    """A torchvision of PyPI beside a torch of that index does not load."""
    (line,) = re.findall(rf"pip install .*{re.escape(CPU_INDEX)}.*", DOCKERFILE)
    assert "-r deploy/torch.txt" in line
    assert "--no-deps" in line
    for page in ("deploy/README.md", "README.md"):
        text = (ROOT / page).read_text()
        commands = re.findall(rf"pip install[^`\n]*{re.escape(CPU_INDEX)}", text)
        assert commands, page
        for command in commands:
            assert "torch torchvision" in command or "torch.txt" in command, page


def test_both_images_are_stages_of_one_file_and_end_alike() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?", DOCKERFILE, re.MULTILINE)
    assert [name for _, name in stages] == ["base", "cuda", "cpu", ""]
    assert [parent for parent, _ in stages[1:]] == ["base", "base", "${DEVICE}"]
    (default,) = re.findall(r"^ARG DEVICE=(\w+)", DOCKERFILE, re.MULTILINE)
    assert default == "cuda"
    (version,) = re.findall(r"^FROM python:([\d.]+)", DOCKERFILE, re.MULTILINE)
    assert version in SpecifierSet(PROJECT["requires-python"])
    installs = re.findall(r"pip install (.+)", DOCKERFILE)
    assert len(installs) == 4
    for words in installs:
        assert "--no-deps" in words  # all that is needed is in the lock
    assert installs[-1].endswith("--no-build-isolation .")


def test_the_job_runs_the_image_and_the_ray_of_the_lock() -> None:
    text = (DEPLOY / "rayjob.yaml").read_text()
    assert re.search(r"^#\s+IMAGE_FILL_IN\s+what deploy/Dockerfile built", text, re.MULTILINE)
    (job,) = [part for part in yaml.safe_load_all(text) if part["kind"] == "RayJob"]
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == locked_versions(LOCK)["ray"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for pod in pods:
        (container,) = pod["template"]["spec"]["containers"]
        assert container["image"] == "IMAGE_FILL_IN"
