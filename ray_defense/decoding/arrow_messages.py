"""Where the messages of an Arrow stream lie, and how many rows each has, without Arrow.

A stream is a schema and record batches. Each is FFFFFFFF, the length of its metadata (a Flatbuffer
of the table `Message`, format/Message.fbs), the metadata, and a body. Only what `datasets` writes
is taken: nothing compressed, which could decode to any size, and no dictionaries.
"""

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

_CONTINUATION = b"\xff\xff\xff\xff"
_SCHEMA = 1
_RECORD_BATCH = 3
_MAX_METADATA_BYTES = 2**24
# A batch is in memory as a whole. `datasets` puts a hundred images into one, or a thousand.
_MAX_BATCH_BYTES = 2**30
_MAX_BATCHES = 2**20
_MAX_ROWS_PER_BYTE = 8  # a row takes more than a bit


class ArrowStreamError(Exception):
    """A file is no such stream."""


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """Where a record batch lies in a file."""

    offset: int  # bytes from the start of the file
    num_bytes: int  # of metadata and body
    num_rows: int


@dataclass(frozen=True)
class StreamLayout:
    """The messages of a stream."""

    schema_bytes: int  # the schema takes the first bytes of the file
    batches: tuple[BatchPlace, ...]


def walk_stream(file: BinaryIO) -> StreamLayout:
    """Returns where the messages of an open file lie; no body is read.

    Raises:
        ArrowStreamError: If it is no stream of this kind.
    """
    end = file.seek(0, os.SEEK_END)
    schema_bytes = 0
    batches: list[BatchPlace] = []
    offset = 0
    while True:
        file.seek(offset)
        start = file.read(8)
        if len(start) < 8 or not start.startswith(_CONTINUATION):
            raise ArrowStreamError(f"no message at byte {offset} of {end}")
        metadata_bytes = int.from_bytes(start[4:], "little", signed=True)
        if metadata_bytes == 0:
            break
        if not 0 < metadata_bytes <= min(_MAX_METADATA_BYTES, end - offset - 8):
            raise ArrowStreamError(f"a message of {metadata_bytes} bytes at byte {offset}")
        message = _Message(file.read(metadata_bytes), offset)
        body_offset = offset + 8 + metadata_bytes
        num_bytes = 8 + metadata_bytes + message.body_bytes
        if not 0 <= message.body_bytes <= end - body_offset:
            raise ArrowStreamError(f"a body of {message.body_bytes} bytes at byte {body_offset}")
        if schema_bytes == 0:
            if message.kind != _SCHEMA:
                raise ArrowStreamError("no schema at its start")
            schema_bytes = num_bytes
        else:
            batches.append(_batch_place(message, offset, num_bytes))
            if len(batches) > _MAX_BATCHES:
                raise ArrowStreamError(f"more than {_MAX_BATCHES} record batches")
        offset += num_bytes
    # Without a mark of the end, a file that was cut off would be a smaller dataset.
    if schema_bytes == 0 or offset + 8 != end:
        raise ArrowStreamError(f"it ends at byte {offset + 8} of {end}")
    return StreamLayout(schema_bytes, tuple(batches))


def _batch_place(message: "_Message", offset: int, num_bytes: int) -> BatchPlace:
    if message.kind != _RECORD_BATCH:
        raise ArrowStreamError(
            f"a message of kind {message.kind} at byte {offset}, and no record batch (a column "
            "may be a dictionary)"
        )
    num_rows = message.num_rows
    if message.is_compressed:
        raise ArrowStreamError("compressed record batches")
    if num_bytes > _MAX_BATCH_BYTES:
        raise ArrowStreamError(f"a record batch of {num_bytes} bytes, over {_MAX_BATCH_BYTES}")
    if not 0 <= num_rows <= _MAX_ROWS_PER_BYTE * num_bytes:
        raise ArrowStreamError(f"{num_rows} rows in a record batch of {num_bytes} bytes")
    return BatchPlace(offset, num_bytes, num_rows)


class _Message:
    """The numbers in the metadata of a message.

    Attributes:
        kind: What it holds; 1 is a schema, 3 a record batch.
        body_bytes: The length of its body.
        num_rows: Of a record batch.
        is_compressed: Whether the buffers of a record batch are.
    """

    def __init__(self, data: bytes, offset: int) -> None:
        try:
            message = _table_at(data, 0)
            self.kind = _number(data, message, 1, "<B")
            self.body_bytes = _number(data, message, 3, "<q")
            self.num_rows = 0
            self.is_compressed = False
            if self.kind == _RECORD_BATCH:
                batch = _table_at(data, _field_position(data, message, 2))
                self.num_rows = _number(data, batch, 0, "<q")
                self.is_compressed = _field_position(data, batch, 3) != 0
        except (struct.error, ValueError) as error:
            raise ArrowStreamError(f"damaged metadata at byte {offset} ({error})") from None


def _table_at(data: bytes, position: int) -> int:
    """Returns the position of the table that the offset at a position points to."""
    table: int = position + struct.unpack_from("<I", data, position)[0]
    return table


def _field_position(data: bytes, table: int, field: int) -> int:
    """Returns the position of a field of a table, or 0 if the table does not have it."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0:
        raise ValueError("a table before the start")
    vtable_bytes = struct.unpack_from("<H", data, vtable)[0]
    if 4 + 2 * field + 2 > vtable_bytes:
        return 0
    step = struct.unpack_from("<H", data, vtable + 4 + 2 * field)[0]
    return table + step if step else 0


def _number(data: bytes, table: int, field: int, kind: str) -> int:
    position = _field_position(data, table, field)
    if position == 0:
        return 0
    number: int = struct.unpack_from(kind, data, position)[0]
    return number
