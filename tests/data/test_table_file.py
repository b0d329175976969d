"""Tables come back as they were written, wherever the store lies."""

from pathlib import Path

import pyarrow as pa
import pytest

from ray_defense.core.errors import DamageError
from ray_defense.data.table_file import (
    read_sealed_table,
    read_table,
    write_sealed_table,
    write_table,
)

TABLE = pa.table({"index": [0, 1, 2], "score": [0.5, 0.25, 1.0]})


def test_the_names_of_the_folders_above_a_table_add_no_columns(tmp_path: Path):
    """Arrow takes `index=3` in a path for a column, also in place of a column of the file."""
    folder = tmp_path / "index=3" / "split=x"
    folder.mkdir(parents=True)
    write_table(folder / "t.parquet", TABLE)
    assert read_table(folder / "t.parquet").equals(TABLE)
    assert read_table(folder / "t.parquet", ["score"]).column_names == ["score"]
    write_sealed_table(folder / "t.sealed", TABLE)
    assert read_sealed_table(folder / "t.sealed").equals(TABLE)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path):
    write_table(tmp_path / "a", TABLE)
    write_table(tmp_path / "b", pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1)]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_damaged_or_missing_sealed_table_is_named(tmp_path: Path):
    path = tmp_path / "t.sealed"
    write_sealed_table(path, TABLE)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DamageError, match=f"{path} is damaged: remove {path} and run again"):
        read_sealed_table(path)
    path.unlink()
    with pytest.raises(DamageError, match=f"{path} is missing"):
        read_sealed_table(path)
