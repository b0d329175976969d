"""Whether two states of the code leave the same scores, split and weights of one recipe.

Each state runs the recipe into a store of its own; this study reads what is there:

python -m benchmarks.house.same_bytes --run before=DIR --run after=DIR
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.support import open_study, study_parser
from ray_defense.core.files import file_hash, read_json

MODULE = "benchmarks.house.same_bytes"
# Stages, artifacts, columns and parts of a split had other names before the rebuild.
_MODELS = {"probe": "probe", "backdoor": "backdoored", "d_br": "d_br", "d_st": "d_st"}
_SCORES = {"score": "score", "evidence": "fct"}
_PARTS = {"poisoned": "flagged"}


def hash_run(result: Path) -> dict[str, str]:
    """Returns the SHA-256 of the scores, the split and the weights of a run.

    Args:
        result: The `result.json` of the run.
    """
    artifacts = read_json(result)["artifacts"]
    hashes = {}
    for stage, folder in artifacts.items():
        model = _MODELS.get(stage, stage if stage in _MODELS.values() else None)
        if model is not None:
            for weights in sorted(Path(folder).glob("*.safetensors")):
                hashes[f"{model}/{weights.name}"] = file_hash(weights)
        if stage in _SCORES:
            (table,) = Path(folder).glob("*.parquet")
            hashes["scores"] = hash_columns(pq.read_table(table), ("index", _SCORES[stage]))
        if stage == "split":
            table = Path(folder) / "split.parquet"
            hashes["split"] = hash_columns(pq.read_table(table), ("index", "split"))
    return hashes


def hash_columns(table: pa.Table, columns: Sequence[str]) -> str:
    """Returns the SHA-256 of the values of some columns, under today's names of the parts."""
    digest = hashlib.sha256()
    for name in columns:
        values = table[name].to_pylist()
        if isinstance(values[0], str):
            values = [_PARTS.get(value, value) for value in values]
        digest.update(np.array(values).tobytes())
    return digest.hexdigest()


def parse_run(text: str) -> tuple[str, Path]:
    """Returns the name and the `result.json` that NAME=DIR describes."""
    name, _, directory = text.partition("=")
    result = Path(directory)
    if result.is_dir():
        result = result / "result.json"
    if not result.is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=STORE with a finished run")
    return name, result


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument(
        "--run",
        action="append",
        type=parse_run,
        required=True,
        metavar="NAME=STORE",
        help="a store with a finished run; repeatable",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Hashes every run and compares them."""
    options = command_parser().parse_args(arguments)
    runs: dict[str, Any] = {}
    recipe = None
    for name, result in options.run:
        recipe = read_json(result)["recipe"]
        runs[name] = hash_run(result)
    first = next(iter(runs.values()))
    same = all(hashes == first for hashes in runs.values())
    with open_study(MODULE, arguments, options.results) as study:
        study.store("same_bytes", {"recipe": recipe, "same": same, "runs": runs})


if __name__ == "__main__":
    main()
