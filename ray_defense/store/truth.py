"""The sealed truth: which samples we poisoned ourselves.

Only `stages.poison` and `stages.evaluation` may import this module; import-linter enforces it.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.errors import InputError
from ray_defense.store.artifacts import Store


@dataclass(frozen=True)
class Truth:
    """What the attacker did: the poisoned samples, and the labels that the source gave to all."""

    index: np.ndarray  # int64 [N], ascending
    poisoned: np.ndarray  # bool [N], triggered and given the attacker's label
    cover: np.ndarray  # bool [N], triggered with its label kept (Qi et al., ICLR 2023)
    true_label: np.ndarray  # int64 [N]


_COLUMNS = tuple(field.name for field in dataclasses.fields(Truth))


def _file_name(suspect_key: str) -> str:
    return f"truth/{suspect_key}/truth.parquet"


def seal(store: Store, suspect_key: str, truth: Truth) -> None:
    """Keeps the truth of a suspect dataset apart from it, on this machine for its owner alone."""
    file = _file_name(suspect_key)
    (store.root / file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    columns = {name: getattr(truth, name) for name in _COLUMNS}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    store.write_file(file, sink.getvalue().to_pybytes(), mode=0o600)


def unseal(store: Store, suspect_key: str) -> Truth:
    """Returns the sealed truth of a suspect dataset.

    Raises:
        InputError: If there is none: nobody poisoned that dataset for us.
    """
    data = store.read_file(_file_name(suspect_key))
    if data is None:
        raise InputError(f"there is no sealed truth for the dataset {suspect_key} in {store}")
    table = pq.read_table(pa.BufferReader(data))
    return Truth(**{name: table[name].to_numpy() for name in _COLUMNS})
