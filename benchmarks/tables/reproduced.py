"""The tables that `ray-defense reproduce` wrote, as results/reproduced keeps them."""

from benchmarks.documents import Table
from benchmarks.support import RESULTS

_NOTHING = ("", "–")


def reproduced_table(name: str) -> Table:
    """Returns the table of a table or figure of the paper, without the columns that say nothing.

    Args:
        name: Of the table or figure: fig3, appI, ...

    Raises:
        SystemExit: If it is not among the results.
    """
    path = RESULTS / "reproduced" / name / "table.md"
    if not path.is_file():
        raise SystemExit(f"no results/reproduced/{name}: ray-defense reproduce {name} makes it")
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    head, _, *rows = [_cells(line) for line in lines]
    said = []
    for number in range(len(head)):
        if any(row[number] not in _NOTHING for row in rows):
            said.append(number)
    return Table(_chosen(head, said), [_chosen(row, said) for row in rows])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _chosen(cells: list[str], numbers: list[int]) -> list[str]:
    return [cells[number] for number in numbers]
