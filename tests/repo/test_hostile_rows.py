"""Every row of the tables of hostile input and of faults has tests that are named after it.

`test_row_input_07_...` tests row 7 of the inputs, `test_row_fault_03_...` row 3 of the faults, and
`test_row_report_...` the pages. A row of the faults may have a test that takes long, on Ray, beside
a quick one in this process.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
INPUTS = range(1, 23)
FAULTS = range(1, 9)
QUICK_FAULTS = range(2, 9)  # the first one is a process of Ray that is killed


def row_tests() -> Iterator[tuple[str, bool]]:
    """Yields the row that a test is named after, and whether the test is quick."""
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        marks = [ast.unparse(node.value) for node in tree.body if isinstance(node, ast.Assign)]
        is_long = any("pytest.mark.long" in mark for mark in marks)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                row = re.match(r"test_row_(input_\d\d|fault_\d\d|report)_[a-z0-9]", node.name)
                marks = [ast.unparse(decorator) for decorator in node.decorator_list]
                if row:
                    yield row[1], not is_long and "pytest.mark.long" not in marks


def test_every_row_of_hostile_input_of_faults_and_of_the_report_has_a_test() -> None:
    rows = {row for row, _ in row_tests()}
    expected = {f"input_{number:02}" for number in INPUTS} | {"report"}
    expected |= {f"fault_{number:02}" for number in FAULTS}
    assert rows == expected


def test_every_row_but_the_killing_of_processes_has_a_quick_test() -> None:
    quick = {row for row, is_quick in row_tests() if is_quick}
    expected = {f"input_{number:02}" for number in INPUTS} | {"report"}
    expected |= {f"fault_{number:02}" for number in QUICK_FAULTS}
    assert expected <= quick
