"""Tables of the house itself: seconds of commands, and counts of the code, by checkout."""

from collections.abc import Mapping
from typing import Any

from benchmarks.documents import Table, load_result

_FOLDERS = ("ray_defense", "tests", "benchmarks")
_STYLE_TITLES = {
    "packed_per_1000": "packed assignments",
    "comprehensions_per_1000": "comprehensions",
    "over_100_columns_per_1000": "lines over 100 columns",
}


def command_seconds_table() -> Table:
    """Returns the median seconds of every command, a column a checkout."""
    result = load_result("house/command_seconds.json")
    columns = {}
    for name in result["checkouts"]:
        cells = {}
        for command in result["order"]:
            median_s = result["commands"][command][name]["median_s"]
            cells[f"`{command}`"] = f"{median_s:.2f}"
        columns[f"{name}, s"] = cells
    return _table_of_columns("command", columns)


def code_counts_table() -> Table:
    """Returns the counts of the code, a column a checkout."""
    result = load_result("house/code_counts.json")
    columns = {}
    for name in result["order"]:
        columns[name] = _count_cells(result["checkouts"][name])
    return _table_of_columns("", columns)


def _count_cells(counts: Mapping[str, Any]) -> dict[str, str]:
    """Returns the counts of one checkout by their title."""
    largest_percent = 100 * counts["largest_room_fraction"]
    cells = {
        "largest package of `ray_defense`": f"`{counts['largest_room']}`, {largest_percent:.0f} %",
        "lines that tell the path of a run": str(counts["path_lines"]),
        "lines of README.md": str(counts["readme_lines"]),
    }
    for folder in _FOLDERS:
        style = counts["style"][folder]
        cells[f"lines of `{folder}`"] = f"{style['num_lines']:,}"
        for key, title in _STYLE_TITLES.items():
            cells[f"{title} in 1,000 lines of `{folder}`"] = f"{style[key]:.1f}"
    return cells


def _table_of_columns(title: str, columns: Mapping[str, Mapping[str, str]]) -> Table:
    """Returns the table of some columns.

    Args:
        title: Of the first column.
        columns: The cells of each column by the title of their row; all have the same titles.
    """
    first = next(iter(columns.values()))
    rows = []
    for row_title in first:
        row = [row_title]
        for cells in columns.values():
            row.append(cells[row_title])
        rows.append(row)
    return Table([title, *columns], rows)
