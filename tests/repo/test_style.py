"""The code stays readable at speaking pace: what the style forbids is counted."""

import ast
from pathlib import Path

import pytest

from tests.repo.count_style import (
    count_comprehensions,
    count_long_lines,
    count_packed_assignments,
    measure_folder,
)

ROOT = Path(__file__).parents[2]
FORBIDDEN_FUNCTIONS = {"run", "make", "check", "place", "plan", "load", "read", "render", "draw"}
LARGEST_ROOM_SHARE = 0.15
OWN_ROOM = "data/sources"  # it has a file for every way in, and counts apart from data


@pytest.mark.parametrize(
    ("source", "num_packed"),
    [
        ("a, b = 1, 2", 1),
        ("[a, b] = [1, 2]", 1),
        ("a, b = (f(x) for x in y)", 1),
        ("a = 1; b = 2", 1),
        ("if a:\n    b = 1; c = 2", 1),
        ("a, b = f(x)", 0),
        ("a = 1, 2", 0),
        ("a = 1\nb = 2", 0),
    ],
)
def test_packed_assignments_are_counted(source: str, num_packed: int) -> None:
    assert count_packed_assignments(source) == num_packed


def test_comprehensions_and_long_lines_are_counted() -> None:
    assert count_comprehensions("[x for x in {y: 1 for y in z}]\nsum(x for x in y)") == 3
    assert count_long_lines("a" * 100 + "\n" + "b" * 101) == 1


@pytest.mark.parametrize("folder", ["ray_defense", "jobs"])
def test_the_package_has_few_packed_assignments_and_comprehensions(folder: str) -> None:
    counts = measure_folder(ROOT / folder)
    assert counts.per_thousand_lines(counts.num_packed) <= 2
    assert counts.per_thousand_lines(counts.num_comprehensions) <= 12


@pytest.mark.parametrize("folder", ["ray_defense", "jobs", "tests", "benchmarks"])
def test_no_line_has_more_than_a_hundred_columns(folder: str) -> None:
    assert measure_folder(ROOT / folder).num_long_lines == 0


def test_no_module_has_a_function_whose_name_does_not_say_of_what() -> None:
    bare = []
    for path in sorted((ROOT / "ray_defense").rglob("*.py")):
        if path.name == "api.py":  # `ray_defense.run` and its like name whole commands.
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name in FORBIDDEN_FUNCTIONS:
                bare.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert bare == []


def test_no_room_holds_more_than_its_share_of_the_package() -> None:
    num_lines = {}
    for room in sorted((ROOT / "ray_defense").iterdir()):
        if room.is_dir() and room.name != "__pycache__":
            num_lines[room.name] = measure_folder(room).num_lines
    num_lines[OWN_ROOM] = measure_folder(ROOT / "ray_defense" / OWN_ROOM).num_lines
    num_lines["data"] -= num_lines[OWN_ROOM]
    total = measure_folder(ROOT / "ray_defense").num_lines
    largest = max(num_lines, key=lambda room: num_lines[room])
    assert num_lines[largest] <= LARGEST_ROOM_SHARE * total, largest


def test_no_module_of_the_package_is_called_by_what_says_nothing() -> None:
    for path in (ROOT / "ray_defense").rglob("*.py"):
        assert path.stem not in {"utils", "helpers", "common", "misc"}, path
