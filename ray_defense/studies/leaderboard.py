"""A folder of cells --leaderboard--> one offline page that sorts and filters them."""

import json
import os
import stat
from pathlib import Path

from ray_defense.core.errors import InputError
from ray_defense.core.files import write_bytes
from ray_defense.data.text import encodable, shortened
from ray_defense.reports.leaderboard import LeaderboardRow, render_leaderboard
from ray_defense.studies.run_cell import RunCell

MAX_CELLS = 10_000
_MAX_CELL_BYTES = 2**20


def write_leaderboard(folder: Path, out: Path) -> int:
    """Writes the page of all cells below a folder and returns how many there are.

    Args:
        folder: Holds cells as JSON files, at any depth; links are not followed.
        out: The HTML file; one that is there already is replaced.

    Raises:
        InputError: If there is no cell, there are too many, or a JSON file holds none.
    """
    rows: list[LeaderboardRow] = []
    files = find_cells(folder)
    for file in files:
        rows.extend(rows_of_cell(read_cell(file)))
    write_bytes(out, render_leaderboard(rows, len(files)).encode())
    return len(files)


def find_cells(folder: Path) -> list[Path]:
    """Returns the JSON files below a folder in the order of their names.

    Raises:
        InputError: If there is none, or there are more than `MAX_CELLS`.
    """
    files = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if name.endswith(".json") and stat.S_ISREG(path.lstat().st_mode):
                files.append(path)
            if len(files) > MAX_CELLS:
                raise InputError(
                    f"{_shown(folder)} holds more than {MAX_CELLS} JSON files: "
                    "name a folder with fewer"
                )
    if not files:
        raise InputError(
            f"{_shown(folder)} holds no JSON file: name the folder that ray-defense reproduce wrote"
        )
    return files


def read_cell(path: Path) -> RunCell:
    """Returns the cell in a file.

    Raises:
        InputError: If the file holds none.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        data = file.read(_MAX_CELL_BYTES + 1)
    try:
        if len(data) > _MAX_CELL_BYTES:
            raise ValueError(f"it has more than {_MAX_CELL_BYTES} bytes")
        return RunCell.from_plain(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{_shown(path)} is no cell ({shortened(encodable(str(error)), 100)}): "
            "keep only what ray-defense reproduce wrote into runs/"
        ) from None


def rows_of_cell(cell: RunCell) -> list[LeaderboardRow]:
    """Returns a row for each model of a cell, or one where only scores were measured."""
    rows = []
    for model in cell.models or ("",):
        rates = {}
        for rate in ("acc", "asr", "robust_acc"):
            value = cell.numbers.get(f"{model}_{rate}")
            rates[rate] = None if value is None else float(value)
        auroc = cell.numbers.get("auroc")
        changes = [f"{path}={value}" for path, value in cell.changes.items()]
        row = LeaderboardRow(
            attack=cell.attack or "none",
            model=model,
            recipe=cell.recipe,
            changes=", ".join(changes),
            seed=cell.seed,
            acc=rates["acc"],
            asr=rates["asr"],
            robust_acc=rates["robust_acc"],
            auroc=None if auroc is None else float(auroc),
            weak_attack=bool(cell.numbers.get("weak_attack")),
            machine=_machine_in_words(cell),
            version=cell.versions.get("ray_defense", "unknown"),
            command=cell.command,
        )
        rows.append(row)
    return rows


def _machine_in_words(cell: RunCell) -> str:
    machine = cell.machine
    gpus = machine.get("gpus")
    words = [f"{machine.get('cores', '?')} cores of {machine.get('processor', '?')}"]
    if isinstance(gpus, list):
        words.extend(gpus)
    return ", ".join(words)


def _shown(path: Path) -> str:
    return repr(shortened(encodable(str(path))))
