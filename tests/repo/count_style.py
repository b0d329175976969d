"""Counts what makes Python code slow to read: packed assignments, comprehensions, long lines."""

import ast
from dataclasses import dataclass
from pathlib import Path

MAX_COLUMNS = 100
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DISPLAYS = (ast.Tuple, ast.List)


@dataclass(frozen=True)
class StyleCounts:
    """What was counted in the Python files of a folder."""

    num_lines: int
    num_packed: int
    num_comprehensions: int
    num_long_lines: int

    def per_thousand_lines(self, count: int) -> float:
        """Returns how many of something there are in 1,000 lines."""
        return 1000 * count / self.num_lines


def count_packed_assignments(source: str) -> int:
    """Counts statements that assign several values at once, like `a, b = x, y`.

    Unpacking what a call returns is not packed. Unpacking a display, a comprehension or a
    generator expression is, and so is a second statement on a line.
    """
    num_packed = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, DISPLAYS + COMPREHENSIONS):
            for target in node.targets:
                if isinstance(target, DISPLAYS):
                    num_packed += 1
        for name in ("body", "orelse", "finalbody"):
            num_packed += count_shared_lines(getattr(node, name, []))
    return num_packed


def count_shared_lines(statements: object) -> int:
    """Counts statements that start on the line of the statement before them."""
    if not isinstance(statements, list):  # The body of a lambda is an expression.
        return 0
    num_shared = 0
    for statement, following in zip(statements, statements[1:], strict=False):
        if statement.end_lineno == following.lineno:
            num_shared += 1
    return num_shared


def count_comprehensions(source: str) -> int:
    """Counts list, set and dict comprehensions and generator expressions."""
    num_comprehensions = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, COMPREHENSIONS):
            num_comprehensions += 1
    return num_comprehensions


def count_long_lines(source: str) -> int:
    """Counts lines of more than 100 columns."""
    num_long_lines = 0
    for line in source.splitlines():
        if len(line) > MAX_COLUMNS:
            num_long_lines += 1
    return num_long_lines


def measure_folder(folder: Path) -> StyleCounts:
    """Counts over all Python files below a folder.

    Raises:
        ValueError: The folder holds no Python file.
    """
    num_lines = 0
    num_packed = 0
    num_comprehensions = 0
    num_long_lines = 0
    for path in sorted(folder.rglob("*.py")):
        source = path.read_text()
        num_lines += len(source.splitlines())
        num_packed += count_packed_assignments(source)
        num_comprehensions += count_comprehensions(source)
        num_long_lines += count_long_lines(source)
    if num_lines == 0:
        raise ValueError(f"{folder} holds no Python code")
    return StyleCounts(
        num_lines=num_lines,
        num_packed=num_packed,
        num_comprehensions=num_comprehensions,
        num_long_lines=num_long_lines,
    )
