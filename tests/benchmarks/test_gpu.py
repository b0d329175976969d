"""The command for the first minutes on a GPU runs on the CPU, and keeps what it has measured."""

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import pack, parts
from benchmarks.gpu.__main__ import PART_NAMES, add_wheels, chosen_parts, main
from benchmarks.gpu.parity import CPU, Parity, parity_checks
from benchmarks.gpu.profile_epoch import Kernel, describe_kernels
from benchmarks.gpu.setting import TINY, Deadline, GpuSetting
from benchmarks.support import ROOT
from ray_defense.core.files import read_json
from ray_defense.data.sources.cifar import Cifar10
from ray_defense.store.artifacts import Store
from tests.support import tiny

CHEAP = [name for name in parity_checks(("small_resnet",)) if "of small" not in name][:-4]
ALL = ("small_resnet", "small_resnet_coordinates", "resnet18")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of digits that are called CIFAR-10."""
    folder: Path = tmp_path_factory.mktemp("data")
    tiny.write_digits(folder, num_train=120, num_test=20)
    for split in ("train", "test"):
        (folder / f"{split}.parquet").rename(folder / f"cifar10-{split}.parquet")
    return folder


def run_command(arguments: list[str], data: Path, out: Path) -> dict[str, Any]:
    """Runs the tiny command and returns the results of its parts."""
    main(["--tiny", "--data", str(data), "--out", str(out), *arguments])
    results = {}
    for path in (out / "gpu").glob("*.json"):
        results[path.stem] = read_json(path)
    return results


@pytest.mark.parametrize("name", CHEAP)
def test_the_cpu_agrees_with_itself(name: str) -> None:
    assert parity_checks(("small_resnet",))[name](CPU).value == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", parity_checks(ALL))
def test_a_gpu_agrees_with_the_cpu(name: str) -> None:
    parity = parity_checks(ALL)[name](torch.device("cuda", 0))
    assert parity.holds, parity


def test_a_bound_is_kept_from_the_right_side() -> None:
    assert Parity(0.5, bound=1).holds
    assert not Parity(1.5, bound=1).holds
    assert Parity(1.5, bound=1, larger_is_better=True).holds
    assert not Parity(float("nan"), bound=1).holds


def test_a_part_is_profiled_and_stored(data: Path, tmp_path: Path) -> None:
    results = run_command(["--part", "profile"], data, tmp_path)
    assert set(results) == {"ingest", "profile"}
    assert results["ingest"]["num_images"] == 120
    assert results["profile"]["num_images"] == TINY.profiled_images
    assert len(results["profile"]["gaps"]) == len(results["profile"]["kernels"]) == 10
    assert 0 < results["profile"]["busy_fraction"] <= 1


@pytest.mark.long
def test_all_parts_run_where_nothing_but_the_named_packages_is_installed(
    data: Path, tmp_path: Path
) -> None:
    missing = ("ray", "ffcv", "pandas", "rich", "jinja2", "matplotlib", "yaml", "optuna", "mkdocs")
    command = [sys.executable, "-m", "tests.support.without_packages", ",".join(missing)]
    command += ["benchmarks.gpu", "--tiny", "--data", str(data), "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    results = {path.stem: read_json(path) for path in (tmp_path / "gpu").glob("*.json")}
    assert set(results) == set(PART_NAMES)
    for name, result in results.items():
        assert "error" not in result, name
    assert results["parity"]["failed"] == []
    assert set(results["bounds"]["cells"]) == {*TINY.bounds, *TINY.bounds_of_few}
    assert results["detection"]["decision"]["num_poisoned"] > 0
    assert results["removal"]["num_epochs"] == TINY.max_epochs
    assert set(results["removal"]["models"]) == {"backdoored", "d_br"}


def test_a_part_that_breaks_leaves_its_error_beside_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_midway(setting: GpuSetting, deadline: Deadline, keep: parts.Keep) -> None:
        keep({"first": 1})
        raise ValueError("the second broke")

    monkeypatch.setattr(parts, "PARTS", {"broken": (break_midway, 1.0)})
    setting = GpuSetting(CPU, tmp_path, Store(tmp_path), TINY)
    kept: list[Mapping[str, Any]] = []
    parts.run_part("broken", setting, Deadline.after(1), kept.append)
    assert kept[0]["first"] == kept[1]["first"] == 1
    assert "the second broke" in kept[1]["error"]


def test_no_part_begins_once_the_time_is_over(data: Path, tmp_path: Path) -> None:
    results = run_command(["--part", "detection", "--budget-s", "0"], data, tmp_path)
    assert results["detection"]["error"] == "no time was left"


def test_ingest_comes_along_where_a_part_needs_it() -> None:
    assert chosen_parts(["removal"]) == ["ingest", "removal"]
    assert chosen_parts(["parity"]) == ["parity"]
    assert chosen_parts([]) == list(PART_NAMES)
    assert set(parts.PARTS) == set(PART_NAMES)


def test_gaps_lie_between_the_ends_and_the_starts_of_kernels_on_all_streams() -> None:
    kernels = [
        Kernel("copy", 90, 100),
        Kernel("first", 0, 10),
        Kernel("long", 20, 60),
        Kernel("inside", 30, 40),
        Kernel("first", 65, 70),
    ]
    host = [Kernel("epoch", 0, 200), Kernel("wait", 72, 88), Kernel("over", 71, 73)]
    figures = describe_kernels(kernels, host, num_longest=2)
    assert [gap["us"] for gap in figures["gaps"]] == [20, 10]
    assert figures["gaps"][0]["after"] == "first"
    assert figures["gaps"][0]["before"] == "copy"
    assert figures["gaps"][0]["host"] == ["wait", "epoch"]
    assert figures["gap_us"] == 35
    assert figures["busy_fraction"] == 0.65
    assert figures["kernels"][0] == {"name": "long", "total_us": 40, "count": 1}
    assert figures["kernels"][1] == {"name": "first", "total_us": 15, "count": 2}


def test_a_pack_holds_the_first_images_as_they_were(data: Path, tmp_path: Path) -> None:
    pack.main(["--data", str(data), "--out", str(tmp_path), "--images", "50"])
    whole = Cifar10(root=str(data))
    packed = Cifar10(root=str(tmp_path))
    for split, count in (("train", 50), ("test", 10)):
        assert (packed.labels(split) == whole.labels(split)[:count]).all()
        expected = whole.read(split, 0, count).images
        assert (packed.read(split, 0, count).images == expected).all()


def test_wheels_are_imported_from_where_they_were_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "from_a_wheel-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("from_a_wheel.py", "VALUE = 7")
    monkeypatch.setattr(sys, "path", list(sys.path))
    add_wheels(tmp_path, tmp_path / "packages")
    import from_a_wheel  # type: ignore[import-not-found]

    assert from_a_wheel.VALUE == 7
