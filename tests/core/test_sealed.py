"""A sealed file gives back what was written, or says that it is damaged."""

import random
from pathlib import Path

import pytest

from ray_defense.core.errors import DamageError
from ray_defense.core.sealed import (
    open_sealed,
    open_sealed_json,
    read_sealed,
    read_sealed_json,
    seal_bytes,
    seal_json,
    write_sealed,
    write_sealed_json,
)

VALUE = {"stage": "probe", "seconds": 1.5, "notes": ["a", "\u00e9"], "nested": {"b": None}}


def test_what_is_sealed_is_read_back(tmp_path: Path):
    for content in (b"", b"x", bytes(100_000)):
        write_sealed(tmp_path / "file.sealed", content)
        assert read_sealed(tmp_path / "file.sealed") == content
    write_sealed_json(tmp_path / "file.json", VALUE)
    assert read_sealed_json(tmp_path / "file.json") == VALUE


@pytest.mark.parametrize(
    ("data", "opener"),
    [(seal_bytes(b"content"), open_sealed), (seal_json(VALUE), open_sealed_json)],
)
def test_every_flipped_bit_and_every_cut_is_noticed(data: bytes, opener):
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(DamageError, match="f is damaged: remove r and run again"):
                opener(bytes(changed), "f", "r")
        with pytest.raises(DamageError):
            opener(data[:position], "f", "r")
    with pytest.raises(DamageError):
        opener(data + b" ", "f", "r")


@pytest.mark.parametrize("opener", [open_sealed, open_sealed_json])
def test_any_bytes_end_in_one_kind_of_error(opener):
    rng = random.Random(0)
    odd = [b"", b"[]", b"null", b"{}", b'{"digest": 1}', b"[" * 100_000, b"\xff", b"NaN"]
    for _ in range(300):
        odd.append(rng.randbytes(rng.randrange(200)))
    for data in odd:
        with pytest.raises(DamageError):
            opener(data, "f", "r")


def test_a_missing_sealed_file_is_named(tmp_path: Path):
    for reader in (read_sealed, read_sealed_json):
        with pytest.raises(DamageError, match=r"gone is missing: remove .* and run again"):
            reader(tmp_path / "gone")
