"""Counts of the code: the size of its rooms, what makes it slow to read, the length of the README.

python -m benchmarks.house.code_counts --checkout before=/path --checkout after=.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.house.checkouts import add_checkout_option, chosen_checkouts
from benchmarks.support import open_study, study_parser
from tests.repo.count_style import MAX_COLUMNS, measure_folder

MODULE = "benchmarks.house.code_counts"
_FOLDERS = ("ray_defense", "jobs", "tests", "benchmarks")
# The files that hold the path of a run, in newer and older checkouts.
_PATH_FILES = (
    ("pipeline/plan.py", "pipeline/run.py"),
    ("pipeline/pipeline.py",),
    ("stages/pipeline.py",),
)


def count_checkout(root: Path) -> dict[str, Any]:
    """Returns all counts of a checkout.

    Args:
        root: The directory that holds ray_defense and README.md.
    """
    style = {}
    for folder in _FOLDERS:
        if any((root / folder).rglob("*.py")):
            style[folder] = count_style(root / folder)
    rooms = count_rooms(root / "ray_defense")
    largest = max(rooms, key=lambda room: rooms[room])
    num_lines = style["ray_defense"]["num_lines"]
    path_files = find_path_files(root / "ray_defense")
    return {
        "style": style,
        "lines_of_rooms": rooms,
        "largest_room": largest,
        "largest_room_fraction": round(rooms[largest] / num_lines, 3),
        "path_files": path_files,
        "path_lines": count_lines(root / "ray_defense", path_files),
        "readme_lines": count_lines(root, ["README.md"]),
    }


def count_style(folder: Path) -> dict[str, float]:
    """Returns the lines of a folder's code and, for 1,000 of them, what makes it slow to read."""
    counts = measure_folder(folder)
    return {
        "num_lines": counts.num_lines,
        "packed_per_1000": round(counts.per_thousand_lines(counts.num_packed), 2),
        "comprehensions_per_1000": round(counts.per_thousand_lines(counts.num_comprehensions), 2),
        f"over_{MAX_COLUMNS}_columns_per_1000": round(
            counts.per_thousand_lines(counts.num_long_lines), 2
        ),
    }


def count_rooms(package: Path) -> dict[str, int]:
    """Returns the lines of each package directly below the library's."""
    rooms = {}
    for room in sorted(package.iterdir()):
        if (room / "__init__.py").exists():
            rooms[room.name] = measure_folder(room).num_lines
    return rooms


def find_path_files(package: Path) -> list[str]:
    """Returns the files that tell the path of a run, of the first layout that is there.

    Raises:
        SystemExit: If none of the known layouts is there.
    """
    for files in _PATH_FILES:
        if all((package / file).is_file() for file in files):
            return list(files)
    raise SystemExit(f"no known file below {package} tells the path of a run")


def count_lines(root: Path, files: Sequence[str]) -> int:
    """Returns the lines of some files together."""
    num_lines = 0
    for file in files:
        num_lines += len((root / file).read_text().splitlines())
    return num_lines


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    add_checkout_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Counts every checkout."""
    options = command_parser().parse_args(arguments)
    checkouts = {}
    for checkout in chosen_checkouts(options):
        counts = count_checkout(checkout.path)
        checkouts[checkout.name] = {"commit": checkout.commit(), **counts}
    with open_study(MODULE, arguments, options.results) as study:
        study.store("code_counts", {"order": list(checkouts), "checkouts": checkouts})


if __name__ == "__main__":
    main()
