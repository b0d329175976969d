"""The sealed truth: which samples we poisoned ourselves; only `stages.poison` and `stages.evaluate` may import this."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.errors import Refused
from ray_defense.core.store import write_bytes


@dataclass(frozen=True)
class Truth:
    """What the attacker did: the poisoned samples and the labels that the source gave to all."""

    index: np.ndarray  # int64 [N], ascending
    poisoned: np.ndarray  # bool [N], triggered and given the attacker's label
    cover: np.ndarray  # bool [N], triggered but left with its label, to blur what the score sees (Qi et al., ICLR 2023)
    true_label: np.ndarray  # int64 [N]


_COLUMNS = tuple(field.name for field in dataclasses.fields(Truth))


def _file(store_root: Path, suspect_key: str) -> Path:
    return store_root / "truth" / suspect_key / "truth.parquet"


def seal(store_root: Path, suspect_key: str, truth: Truth) -> None:
    """Writes the truth of the suspect dataset `suspect_key`, apart from it and readable by its owner only."""
    path = _file(store_root, suspect_key)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    columns = {name: getattr(truth, name) for name in _COLUMNS}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    write_bytes(path, sink.getvalue().to_pybytes(), mode=0o600)


def unseal(store_root: Path, suspect_key: str) -> Truth:
    """Returns the sealed truth; raises Refused where there is none (nobody poisoned that dataset for us)."""
    path = _file(store_root, suspect_key)
    if not path.is_file():
        raise Refused(f"there is no sealed truth for the dataset {suspect_key} in {store_root}")
    table = pq.read_table(path)
    return Truth(**{name: table[name].to_numpy() for name in _COLUMNS})
