"""Each study runs on a tiny input and leaves the keys of the results that are stored."""

import importlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import support
from benchmarks.defenses.__main__ import CHOSEN, PAPER
from benchmarks.detection.__main__ import cell_recipe
from benchmarks.identical_scores.setups import BACKENDS, Setup, setups_on_nodes
from benchmarks.support import RESULTS, ROOT
from ray_defense.attacks.sig import Sig
from ray_defense.core.config import override
from ray_defense.core.files import read_json
from ray_defense.data.sources.digits import Digits
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.store.artifacts import Store
from tests.support import tiny

SHORT_PROBE = ["--set", "probe.epochs=1", "--set", "probe.intra_epochs=1"]
LOCAL = ["--executor", "local", "--backend", "numpy"]
SHORT_RUN = [
    *SHORT_PROBE,
    "--set",
    "backdoored.epochs=1",
    "--set",
    "d_br.rounds=1",
    "--set",
    "d_st=none",
]


@pytest.fixture(autouse=True)
def unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own for what interrupted studies keep."""
    monkeypatch.setattr(support, "UNFINISHED", tmp_path / "unfinished")


@pytest.fixture
def parquet(tmp_path: Path) -> list[str]:
    """The options that name 200 digits of 16 pixels as the data of a study."""
    folder = tmp_path / "parquet"
    folder.mkdir()
    tiny.write_digits(folder, num_train=200, num_test=10)
    return ["--data", str(folder), "--file", "train.parquet", "--size", "16"]


def run_study(module: str, arguments: Sequence[str], results: Path) -> dict[str, Any]:
    """Runs a study and returns what it stored, the only file there is."""
    importlib.import_module(module).main([*arguments, "--results", str(results)])
    return only_result(results)


def type_study(module: str, arguments: Sequence[str], results: Path) -> dict[str, Any]:
    """Does the same by the command, in a process of its own, which takes Ray with it."""
    command = [sys.executable, "-m", module, *arguments, "--results", str(results)]
    subprocess.run(command, cwd=ROOT, check=True)
    return only_result(results)


def only_result(results: Path) -> dict[str, Any]:
    """Returns the content of the only file of results."""
    (path,) = results.rglob("*.json")
    result: dict[str, Any] = read_json(path)
    return result


def check_keys(result: dict[str, Any], stored: str) -> None:
    """Checks that a result has the keys of a stored one, and the date."""
    expected = {*read_json(RESULTS / stored), "date"}
    assert set(result) == expected


@pytest.mark.long
def test_a_recipe_leaves_all_numbers_of_its_run(tmp_path: Path) -> None:
    arguments = ["digits_badnets", "--seed", "5", *LOCAL, *SHORT_RUN]
    result = run_study("benchmarks.recipes.__main__", arguments, tmp_path)
    check_keys(result, "recipes/digits_badnets_seed0.json")
    stored = read_json(RESULTS / "recipes/digits_badnets_seed0.json")["result"]
    # The verdict and rates that came later are in no older result.
    assert stored.keys() <= result["result"].keys()
    assert result["result"]["seed"] == 5
    assert set(result["result"]["models"]) == {"backdoored", "d_br"}
    assert stored["models"]["backdoored"].keys() <= result["result"]["models"]["backdoored"].keys()
    assert result["result"]["score"].keys() == stored["score"].keys()


@pytest.mark.long
def test_defenses_leave_the_numbers_of_every_model(tmp_path: Path) -> None:
    arguments = ["--attack", "sig", "--seed", "5", "--recipe", "digits_badnets", *LOCAL]
    arguments += ["--store", str(tmp_path / "store"), *SHORT_RUN]
    result = run_study("benchmarks.defenses.__main__", arguments, tmp_path / "results")
    check_keys(result, "defenses/cifar10_badnets_robust_sig_seed0.json")
    stored = read_json(RESULTS / "defenses/cifar10_badnets_robust_sig_seed0.json")["result"]
    assert set(result["result"]) == set(stored)
    assert result["result"]["seed"] == 5
    assert set(result["result"]["models"]) == {"backdoored", "d_br"}
    assert result["result"]["models"]["d_br"].keys() == stored["models"]["d_br"].keys()


def test_the_two_splits_are_compared_on_one_dataset_and_one_model(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = []
    for name in (PAPER, CHOSEN):
        base = replace(named_recipe(name), source=Digits())
        plan = plan_recipe(cell_recipe(base, "sig", 0.1, 3), store)
        assert plan.backdoored is not None
        keys.append((plan.dataset.step.artifact.key, plan.backdoored.artifact.key))
    assert keys[0] == keys[1]


def test_a_cell_keeps_the_settings_of_its_attack_and_takes_no_others() -> None:
    base = override(named_recipe("digits_badnets"), "attack", "sig")
    base = override(base, "attack.frequency", "4")
    same = cell_recipe(base, "sig", 0.1, 3)
    other = cell_recipe(base, "blend_signal", 0.1, 3)
    assert isinstance(same.attack, Sig)
    assert same.attack.frequency == 4
    assert same.poison.seed == 3
    assert other.attack is not None
    assert other.attack.name == "blend_signal"
    assert cell_recipe(base, "none", 0, 3).attack is None


def test_an_attack_leaves_its_strength_and_its_trace(tmp_path: Path) -> None:
    arguments = ["digits_badnets", "--attack", "badnets", "--store", str(tmp_path / "store")]
    arguments += [*LOCAL, *SHORT_PROBE, "--set", "backdoored.epochs=1"]
    result = run_study("benchmarks.attacks.__main__", arguments, tmp_path / "results")
    stored = read_json(RESULTS / "attacks/cifar10_badnets_small_badnets_seed0.json")
    assert set(stored) - set(result) == {"notes", "seconds"}  # of the first version of the study
    assert [epoch["epoch"] for epoch in result["trace"]] == [0, 1]
    assert result["trace"][0].keys() == stored["trace"][0].keys()
    # Rates and settings that came later are in no older result.
    assert stored["backdoored"].keys() <= result["backdoored"].keys()
    assert result["clean"]["num_triggered"] == 0
    assert stored["config"].keys() <= result["config"].keys()


@pytest.mark.long
def test_a_sweep_leaves_a_row_for_each_pair(tmp_path: Path) -> None:
    axis = "detect.fct.tau=flip,crop;flip,flip"
    arguments = ["digits_badnets", *LOCAL, "--grid", axis, *SHORT_PROBE]
    result = run_study("benchmarks.sweeping.__main__", arguments, tmp_path)
    check_keys(result, "sweeping/digits_badnets.json")
    stored = read_json(RESULTS / "sweeping/digits_badnets.json")
    assert stored["rows"][0].keys() <= result["rows"][0].keys()
    assert [row["detect.fct.tau"] for row in result["rows"]] == ["flip,crop", "flip,flip"]
    assert result["rows"][1]["auroc"] is None
    assert result["num_trials"] == 2


@pytest.mark.long
def test_memory_is_measured_at_every_size(tmp_path: Path, parquet: list[str]) -> None:
    arguments = [*parquet, "--images", "100", "200", *LOCAL]
    result = run_study("benchmarks.memory.__main__", arguments, tmp_path / "results")
    check_keys(result, "memory/dataset_size.json")
    stored = read_json(RESULTS / "memory/dataset_size.json")
    assert [run["num_images"] for run in result["runs"]] == [100, 200]
    assert result["runs"][0].keys() == stored["runs"][0].keys()
    assert result["growth"].keys() == stored["growth"].keys()
    assert result["runs"][0]["uss_mib"]["driver"]["probe"]["peak"] > 0


@pytest.mark.long
def test_a_scoring_process_is_looked_at_after_each_turn(tmp_path: Path, parquet: list[str]) -> None:
    arguments = [*parquet, "--turns", "2", "--backend", "numpy"]
    result = run_study("benchmarks.memory.scoring_process", arguments, tmp_path / "results")
    check_keys(result, "memory/scoring_process.json")
    assert result["num_images"] == 200
    assert len(result["uss_mib"]) == 2


@pytest.mark.long
def test_constants_of_the_plan_are_measured(tmp_path: Path) -> None:
    arguments = ["--model", "small_resnet", "--repeats", "1"]
    result = run_study("benchmarks.scaling.constants", arguments, tmp_path)
    stored = read_json(RESULTS / "scaling/constants.json")
    check_keys(result, "scaling/constants.json")
    for name in ("all_reduce_gloo_2_processes", "checkpoint", "jpeg_224"):
        assert result[name].keys() == stored[name].keys()


def test_a_stage_is_compared_with_its_bare_loop(tmp_path: Path) -> None:
    arguments = ["--stage", "grow", "--num-samples", "120", "--size", "8", "--steps", "1"]
    result = run_study("benchmarks.bounds.__main__", [*arguments, "--repeats", "1"], tmp_path)
    assert result["stage"] == "grow_1_fold_0"
    assert result["num_images"] == result["batch_size"] == 256
    assert result["ratio_min"] <= result["ratio_median"] <= result["ratio_max"]


def test_code_of_a_checkout_is_counted(tmp_path: Path) -> None:
    arguments = ["--checkout", f"now={ROOT}"]
    result = run_study("benchmarks.house.code_counts", arguments, tmp_path)
    counts = result["checkouts"]["now"]
    total = counts["style"]["ray_defense"]["num_lines"]
    assert 0.9 * total < sum(counts["lines_of_rooms"].values()) <= total
    assert counts["lines_of_rooms"][counts["largest_room"]] == max(
        counts["lines_of_rooms"].values()
    )
    assert counts["path_files"] == ["pipeline/plan.py", "pipeline/run.py"]


def test_commands_are_timed_in_turn(tmp_path: Path) -> None:
    arguments = ["--command", "list", "--command", "import ray_defense", "--repeats", "2"]
    arguments += ["--checkout", f"here={ROOT}", "--checkout", f"there={ROOT}"]
    result = run_study("benchmarks.house.command_seconds", arguments, tmp_path)
    assert list(result["commands"]) == sorted(["list", "import ray_defense"])
    for of_command in result["commands"].values():
        for name in ("here", "there"):
            assert len(of_command[name]["seconds"]) == 2
            assert min(of_command[name]["seconds"]) > 0


def test_the_bytes_of_evidence_and_split_are_compared(tmp_path: Path) -> None:
    arguments = ["--nodes", "0", "--backends", "numpy", *SHORT_PROBE]
    result = run_study("benchmarks.identical_scores.__main__", arguments, tmp_path)
    check_keys(result, "identical_scores/digits_badnets.json")
    assert result["identical"] is True
    assert list(result["sha256"]) == ["no Ray, numpy"]
    assert set(result["sha256"]["no Ray, numpy"]) == {"evidence", "split"}


@pytest.mark.ray
@pytest.mark.long
def test_scoring_is_compared_with_its_bare_forward_passes(tmp_path: Path) -> None:
    arguments = ["--source", "digits", "--backend", "numpy", "--repeats", "1"]
    result = type_study("benchmarks.scoring", arguments, tmp_path)
    check_keys(result, "scoring/small_resnet.json")
    assert result["num_images"] == 1438
    assert result["ratio_min"] <= result["ratio_median"] <= result["ratio_max"]


@pytest.mark.ray
@pytest.mark.long
def test_the_cost_of_ray_is_measured(tmp_path: Path) -> None:
    arguments = ["digits_badnets", "--repeats", "1", *SHORT_RUN]
    result = type_study("benchmarks.ray_cost", arguments, tmp_path)
    check_keys(result, "ray_cost/digits_badnets.json")
    stored = read_json(RESULTS / "ray_cost/digits_badnets.json")
    assert result["pairs"][0]["ray"].keys() == stored["pairs"][0]["ray"].keys()
    for call, stored_call in zip(
        result["pairs"][0]["ray"]["calls"], stored["pairs"][0]["ray"]["calls"], strict=True
    ):
        assert call["call"] == stored_call["call"].removesuffix(", d_st")


@pytest.mark.ray
@pytest.mark.chaos
@pytest.mark.long
def test_a_fault_is_recovered_from_at_a_cost(tmp_path: Path) -> None:
    arguments = ["--stage", "ingest", "--repeats", "1"]
    result = type_study("benchmarks.faults", arguments, tmp_path)
    check_keys(result, "faults/matrix.json")
    stored = read_json(RESULTS / "faults/matrix.json")
    assert result["all_recovered"] is True
    assert [cell["killed"] for cell in result["cells"]] == ["none", "worker", "node", "driver"]
    assert result["cells"][0].keys() == stored["cells"][0].keys()


def test_the_stored_bytes_are_of_every_setup() -> None:
    setups: list[Setup] = []
    for num_nodes in (0, 1, 2):
        with_kills = num_nodes == 2
        setups += setups_on_nodes(num_nodes, (1, 2, 4), BACKENDS, with_kills=with_kills)
    stored = read_json(RESULTS / "identical_scores/digits_badnets.json")
    assert sorted(map(str, setups)) == sorted(stored["sha256"])
