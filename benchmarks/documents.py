"""Documents whose tables are made from stored results: text is edited by hand, tables never.

A table stands between `<!-- table:NAME -->` and `<!-- end -->`.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.support import RESULTS, module_parser
from ray_defense.core.files import read_json

_BLOCK = re.compile(r"(<!-- table:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Table:
    """A table of text."""

    head: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """Returns the table as Markdown."""
        lines = []
        for cells in (self.head, ["---"] * len(self.head), *self.rows):
            lines.append("| " + " | ".join(cells) + " |\n")
        return "".join(lines)


Tables = Mapping[str, Callable[[], Table]]  # by name


def document_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Returns the parser of what writes documents, with the option --check.

    Args:
        module: The module, `benchmarks.tables`.
        description: Its docstring.
    """
    parser = module_parser(module, description)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail if a file is not up to date"
    )
    return parser


def load_result(name: str) -> dict[str, Any]:
    """Returns the content of a file of results.

    Args:
        name: `study/file.json`, below results/.

    Raises:
        SystemExit: If there is no such file.
    """
    path = RESULTS / name
    if not path.is_file():
        raise SystemExit(f"no results/{name}: run the benchmark that records it")
    result: dict[str, Any] = read_json(path)
    return result


def load_results(pattern: str) -> dict[str, dict[str, Any]]:
    """Returns the content of every file of results that matches, by its name without ending.

    Args:
        pattern: `study/*.json`, below results/.

    Raises:
        SystemExit: If there is none.
    """
    results: dict[str, dict[str, Any]] = {}
    for path in sorted(RESULTS.glob(pattern)):
        results[path.stem] = read_json(path)
    if not results:
        raise SystemExit(f"no results/{pattern}: run the benchmark that records it")
    return results


def table_names(text: str) -> list[str]:
    """Returns the names of the tables of a document, in order."""
    return [block[2] for block in _BLOCK.finditer(text)]


def render_tables(text: str, tables: Tables) -> str:
    """Returns a document with every table made anew.

    Raises:
        KeyError: If the document has a table that is not among `tables`.
    """

    def render_block(block: re.Match[str]) -> str:
        return block[1] + tables[block[2]]().markdown() + block[3]

    return _BLOCK.sub(render_block, text)


def update_files(contents: Mapping[Path, bytes], *, check_only: bool) -> None:
    """Writes generated files, or only looks whether they are as they should be.

    Args:
        contents: What each file is to hold.
        check_only: Whether nothing is written.

    Raises:
        SystemExit: With `check_only`, where a file differs.
    """
    for path, content in contents.items():
        current = path.read_bytes() if path.exists() else None
        if current == content:
            continue
        if check_only:
            raise SystemExit(f"{path} is not what results/ says: run without --check")
        path.write_bytes(content)
        print(path)


def percent(rate: float | None, interval: Sequence[float] | None = None) -> str:
    """Returns a rate in percent with one digit, followed by its interval where there is one."""
    if rate is None:
        return "n/a"
    text = f"{100 * rate:.1f}"
    if interval is None:
        return text
    low, high = interval
    return f"{text} ({100 * low:.1f}–{100 * high:.1f})"
