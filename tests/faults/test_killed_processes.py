"""Whichever process is killed, at whichever stage, the run ends with the bytes of one left alone.

Row 1 of the faults: SIGKILL of a scoring actor, a Train worker, a raylet or the driver, at each
stage. The default run kills a few processes, `./run.sh test chaos` every kind at every stage. The
matrix is printed at the end.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CHAOS
from tests.support.fault_driver import KILLED, run_driver, start_driver
from tests.support.fault_matrix import Outcome, copy_without, format_matrix, try_cell
from tests.support.faults import STAGES, TARGETS, Fault, Target, Task, store_hashes

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(900)]
IN_DEFAULT_RUN = {("scoring", "node")}


def cells() -> list[Any]:
    """Returns every stage with every kind of process, and with none."""
    parameters = []
    for stage in STAGES:
        for target in ("none", *TARGETS):
            marks = [] if (stage, target) in IN_DEFAULT_RUN else [pytest.mark.long]
            parameters.append(pytest.param(stage, target, marks=marks, id=f"{target} at {stage}"))
    return parameters


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[list[Outcome]]:
    """The cells that were tried; their table is printed at the end."""
    tried: list[Outcome] = []
    yield tried
    request.config.stash.setdefault(CHAOS, []).append(format_matrix(tried))


@pytest.mark.parametrize(("stage", "target"), cells())
def test_row_fault_01_a_killed_process_changes_no_byte(
    cluster: Any,
    reference: Path,
    digits: Path,
    outcomes: list[Outcome],
    tmp_path: Path,
    stage: str,
    target: Target,
) -> None:
    outcome = try_cell(cluster, reference, digits, scratch=tmp_path, stage=stage, target=target)
    outcomes.append(outcome)
    assert outcome.recovered, outcome.errors
    assert outcome.struck == (target != "none")
    assert outcome.num_drivers == 1 + (target == "driver")


@pytest.mark.long
def test_row_fault_02_a_run_killed_while_scoring_goes_on_with_more_actors(
    cluster: Any, reference: Path, digits: Path, tmp_path: Path
) -> None:
    """Row 2 of the faults: a resume with another number of actors gives the same bits."""
    store = copy_without(reference, "scoring", tmp_path)
    fault = Fault("driver", "scoring", str(tmp_path / "struck"))
    task = Task(str(store), str(digits), placement={"actors": 1}, fault=fault)
    assert run_driver(task, cluster.address).returncode == KILLED
    parts = list(store.glob("evidence/*.work/scratch/block-*.parquet"))
    assert 0 < len(parts) < 6
    with_more_actors = replace(task, placement={"actors": 4})
    assert run_driver(with_more_actors, cluster.address).returncode == 0
    assert store_hashes(store) == store_hashes(reference)


@pytest.mark.long
def test_row_fault_07_two_drivers_of_one_run_on_one_store_both_end(
    cluster: Any, reference: Path, digits: Path, tmp_path: Path
) -> None:
    """Row 7 of the faults: two runs on one store."""
    store = copy_without(reference, "probe", tmp_path)
    drivers = [start_driver(Task(str(store), str(digits)), cluster.address) for _ in range(2)]
    errors = []
    for driver in drivers:
        errors.append(driver.communicate(timeout=400)[1])
    assert [driver.returncode for driver in drivers] == [0, 0], errors
    assert store_hashes(store) == store_hashes(reference)
