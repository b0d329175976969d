"""The sealed truth: which samples we poisoned ourselves.

Only `stages.poison` and `stages.evaluation` may import this module; import-linter enforces it.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_defense.core.errors import InputError
from ray_defense.core.files import remove_parts
from ray_defense.core.sealed import SEALED_SUFFIX, open_sealed, seal_bytes
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
    return f"truth/{suspect_key}/truth{SEALED_SUFFIX}"


def seal(store: Store, suspect_key: str, truth: Truth) -> None:
    """Keeps the truth of a suspect dataset apart from it, on this machine for its owner alone."""
    file = _file_name(suspect_key)
    folder = (store.root / file).parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_parts(folder)  # of a run that was killed here: nobody else writes to this folder
    columns = {name: getattr(truth, name) for name in _COLUMNS}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    store.write_file(file, seal_bytes(sink.getvalue().to_pybytes()), mode=0o600)


def unseal(store: Store, suspect_key: str) -> Truth:
    """Returns the sealed truth of a suspect dataset.

    Raises:
        InputError: If there is none: nobody poisoned that dataset for us.
        DamageError: If it is not what was written.
    """
    name = _file_name(suspect_key)
    data = store.read_file(name)
    if data is None:
        raise InputError(f"there is no sealed truth for the dataset {suspect_key} in {store}")
    # The truth is written where the dataset is poisoned, so both have to be made again.
    both = f"{store}/truth/{suspect_key} and {store}/ingest/{suspect_key}"
    table = pq.read_table(pa.BufferReader(open_sealed(data, f"{store}/{name}", both)))
    return Truth(**{name: table[name].to_numpy() for name in _COLUMNS})
