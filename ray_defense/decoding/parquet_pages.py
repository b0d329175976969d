"""How much the pages of a Parquet file decode to, from the header of each page.

The footer of a file tells sizes too, but nothing holds it to them: a reader allocates what the
header of a page says. Footer and headers are structs of Thrift's compact protocol, see
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.

Where a column lies is read from the footer here and not asked of Arrow, which ends the whole
process where the statistics of a column are damaged.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

DICTIONARY_PAGE = 2
# A header with statistics has some kilobytes; the values of the statistics are cut at 4 KiB each.
_MAX_HEADER_BYTES = 2**20
_FIRST_READ_BYTES = 512
_MAX_DEPTH = 16  # of structs and lists; a footer has eight
_MAX_PAGES = 2**20  # of a column; a page has a megabyte
# Old writers gave a size of the column that is short by the header of the dictionary page.
_MISSING_BYTES = 100

_FOOTER_END_BYTES = 8  # the length of the footer, and "PAR1"
_MAX_FOOTER_ITEMS = 2**17  # of one list
_MAX_VALUES = 2**22  # of a footer; each takes a microsecond

# Type numbers of Thrift's compact protocol.
_STOP = 0
_BOOLEANS = (1, 2)
_BYTE = 3
_INTEGERS = (4, 5, 6)
_INT64 = 6
_DOUBLE = 7
_BINARY = 8
_LIST = 9
_LISTS = (9, 10)
_STRUCT = 12


class PageError(ValueError):
    """The bytes are no pages of a column; the only argument is the reason."""


@dataclass(frozen=True)
class Page:
    """What the header of a page says."""

    kind: int
    num_values: int  # 0 in a dictionary page
    decoded_bytes: int
    encoded_bytes: int


@dataclass(frozen=True)
class ColumnChunk:
    """Where the footer says a column of a row group is."""

    path: str  # "image.bytes"
    num_values: int
    num_encoded_bytes: int
    data_page_offset: int
    dictionary_page_offset: int | None


def read_row_groups(file: BinaryIO) -> list[list[ColumnChunk]]:
    """Returns the columns of each row group of a Parquet file, as its footer says.

    Raises:
        PageError: If the footer is none.
    """
    file_end = os.fstat(file.fileno()).st_size
    end = os.pread(file.fileno(), _FOOTER_END_BYTES, max(file_end - _FOOTER_END_BYTES, 0))
    num_bytes = int.from_bytes(end[:4], "little")
    start = file_end - _FOOTER_END_BYTES - num_bytes
    if start < 0:
        raise PageError("the footer is longer than the file")
    parser = _CompactParser(os.pread(file.fileno(), num_bytes, start))
    try:
        footer = parser.values()
    except IndexError:
        raise PageError("the footer does not end") from None
    groups = []
    for group in _structs(footer, 4):
        groups.append([_column_chunk(column) for column in _structs(group, 1)])
    return groups


def _column_chunk(column: "_Struct") -> ColumnChunk:
    no_struct: _Struct = {}
    kind, described = column.get(3, (None, no_struct))
    if kind != _STRUCT or 1 in column:  # field 1 names another file
        raise PageError("a column has no description, or lies in another file")
    kind, parts = described.get(3, (None, []))
    if kind != _LIST or not all(isinstance(part, bytes) for part in parts):
        raise PageError("a column has no name")
    return ColumnChunk(
        path=b".".join(parts).decode(errors="replace"),
        num_values=_int64(described, 5),
        num_encoded_bytes=_int64(described, 7),
        data_page_offset=_int64(described, 9),
        dictionary_page_offset=_int64(described, 11) if 11 in described else None,
    )


def _structs(struct: "_Struct", field: int) -> "list[_Struct]":
    kind, items = struct.get(field, (None, []))
    if kind != _LIST or not all(isinstance(item, dict) for item in items):
        raise PageError(f"the footer has no list of structs in field {field}")
    structs: list[_Struct] = items
    return structs


def _int64(struct: "_Struct", field: int) -> int:
    kind, value = struct.get(field, (None, 0))
    if kind != _INT64:  # Thrift leaves a field of another type out
        raise PageError(f"a column has no number in field {field}")
    number: int = value
    return number


def walk_pages(file: BinaryIO, column: ColumnChunk) -> Iterator[Page]:
    """Yields the pages of a column of a row group, without their contents.

    Args:
        file: The Parquet file.
        column: Where the footer says the column is.

    Raises:
        PageError: If the pages do not follow one another until all values are there.
    """
    position = column.data_page_offset
    dictionary = column.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < position:
        position = dictionary
    file_end = os.fstat(file.fileno()).st_size
    end = min(position + column.num_encoded_bytes + _MISSING_BYTES, file_end)
    num_values = 0
    num_pages = 0
    while num_values < column.num_values:
        if not 0 <= position < end or num_pages == _MAX_PAGES:
            raise PageError(f"{num_values} of {column.num_values} values in {num_pages} pages")
        header = _read_header(file, position)
        yield header.page
        position += header.num_bytes + header.page.encoded_bytes
        num_values += header.page.num_values
        num_pages += 1


@dataclass(frozen=True)
class _Header:
    page: Page
    num_bytes: int


def _read_header(file: BinaryIO, position: int) -> _Header:
    num_bytes = _FIRST_READ_BYTES
    while True:
        data = os.pread(file.fileno(), num_bytes, position)
        try:
            return _parse_header(data)
        except IndexError:  # the header is longer than what was read
            if len(data) < num_bytes or num_bytes >= _MAX_HEADER_BYTES:
                raise PageError(f"the page header at {position} does not end") from None
        num_bytes *= 16


def _parse_header(data: bytes) -> _Header:
    parser = _CompactParser(data)
    numbers = parser.struct()
    # Of a data page (5), a dictionary page (7) and a data page of version 2 (8), the first field
    # is the number of values.
    kind = numbers.get((1,), -1)
    decoded_bytes = numbers.get((2,), -1)
    encoded_bytes = numbers.get((3,), -1)
    num_values = 0
    if kind != DICTIONARY_PAGE:
        num_values = numbers.get((5, 1), numbers.get((8, 1), 0))
    if min(kind, decoded_bytes, encoded_bytes, num_values) < 0:
        raise PageError("a page header lacks a size, or one is negative")
    page = Page(kind, num_values, decoded_bytes, encoded_bytes=encoded_bytes)
    return _Header(page, parser.position)


_Struct = dict[int, tuple[int, Any]]  # type number and value by the number of the field


class _CompactParser:
    """Reads a struct of Thrift's compact protocol; raises IndexError where the bytes end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._num_values = 0
        self.position = 0

    def struct(self, depth: int = 0) -> dict[tuple[int, ...], int]:
        """Returns the integers of a struct and of those in it, by the numbers of their fields."""
        if depth == _MAX_DEPTH:
            raise PageError("a page header is nested too deep")
        integers: dict[tuple[int, ...], int] = {}
        field = 0
        while True:
            byte = self._byte()
            kind = byte & 15
            if kind == _STOP:
                return integers
            step = byte >> 4
            field = field + step if step else self._integer()
            if kind in _INTEGERS:
                integers[(field,)] = self._integer()
            elif kind == _STRUCT:
                for inner, value in self.struct(depth + 1).items():
                    integers[(field, *inner)] = value
            elif kind not in _BOOLEANS:
                self._skip(kind, depth)

    def values(self, depth: int = 0) -> _Struct:
        """Returns the integers, byte strings, lists and structs of a struct by field."""
        values: _Struct = {}
        field = 0
        while True:
            byte = self._byte()
            kind = byte & 15
            if kind == _STOP:
                return values
            step = byte >> 4
            field = field + step if step else self._integer()
            if kind not in _BOOLEANS:
                values[field] = (kind, self._value(kind, depth))

    def _value(self, kind: int, depth: int) -> Any:
        self._num_values += 1
        if depth >= _MAX_DEPTH or self._num_values > _MAX_VALUES:
            raise PageError("the footer is nested too deep, or has too many values")
        if kind in _INTEGERS:
            return self._integer()
        if kind == _BINARY:
            num_bytes = self._varint()
            start = self.position
            self._advance(num_bytes)
            return self._data[start : self.position]
        if kind == _STRUCT:
            return self.values(depth + 1)
        if kind != _LIST:
            self._skip(kind, depth)
            return None
        size, item_kind = self._list_header()
        return [self._value(item_kind, depth + 1) for _ in range(size)]

    def _list_header(self) -> tuple[int, int]:
        """Returns the number of items of a list or set, and their type."""
        byte = self._byte()
        size = byte >> 4
        if size == 15:
            size = self._varint()
        if size > _MAX_FOOTER_ITEMS:
            raise PageError(f"a list has {size} items")
        return size, byte & 15

    def _skip(self, kind: int, depth: int) -> None:
        if depth >= _MAX_DEPTH:
            raise PageError("a page header is nested too deep")
        if kind in (_BYTE, *_BOOLEANS):
            self._advance(1)
        elif kind in _INTEGERS:
            self._varint()
        elif kind == _DOUBLE:
            self._advance(8)
        elif kind == _BINARY:
            self._advance(self._varint())
        elif kind == _STRUCT:
            self.struct(depth + 1)
        elif kind in _LISTS:
            size, item_kind = self._list_header()
            for _ in range(size):
                self._skip(item_kind, depth + 1)
        else:
            raise PageError(f"a page header has a field of type {kind}")

    def _advance(self, num_bytes: int) -> None:
        self.position += num_bytes
        if self.position > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
        return byte

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise PageError("a page header has a number of more than 64 bits")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
