"""The members of a tar archive, from its headers alone, without tarfile.

tarfile reads what a header says into memory, however much that is: the names of GNU and pax headers
and the maps of sparse files. Here each is capped. The format: POSIX.1-1988 ustar, POSIX.1-2001 pax,
and GNU's long names, see https://www.gnu.org/software/tar/manual/html_node/Standard.html.
"""

from collections.abc import Iterator
from typing import Protocol

from ray_defense.decoding.packed_member import MAX_MEMBERS, MAX_OFFSET, ArchiveError, PackedMember

_BLOCK = 512
_MAX_NAME_BYTES = 2**16  # of a long name or of the records of one pax header
_FILE_KINDS = (b"0", b"\0", b"7")
_LONG_NAME = b"L"
_PAX = b"x"
_SKIPPED = (b"g", b"K")  # records of all members, and the long name of what a link points to
_NO_FILES = (b"5", b"V")  # a folder, and the name of the volume
_OLD_SPARSE = b"S"
_PROBLEMS = {
    b"1": "a link",
    b"2": "a link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a FIFO",
    _OLD_SPARSE: "a sparse file",
}


class ForwardFile(Protocol):
    """Bytes that are read from the front to the back."""

    def read(self, num_bytes: int) -> bytes:
        """Returns the next bytes; fewer only at the end."""

    def skip_to(self, position: int) -> None:
        """Goes forward to a position."""


def walk_tar(file: ForwardFile) -> Iterator[PackedMember]:
    """Yields the members of a tar archive; after each, `file` stands before its bytes.

    Args:
        file: The archive, unpacked if it is compressed, at its start.

    Raises:
        ArchiveError: If a header is damaged, or the archive ends early.
    """
    position = 0
    num_members = 0
    long_name = b""
    records: dict[bytes, bytes] = {}
    while True:
        file.skip_to(position)
        header = file.read(_BLOCK)
        if header == bytes(len(header)):  # zeros, or nothing, at the end
            if len(header) != _BLOCK:
                raise ArchiveError("the archive ends without its last block")
            return
        _check_header(header)
        kind = header[156:157]
        size = _number(header[124:136])
        describes_next = kind in (_LONG_NAME, _PAX, *_SKIPPED)
        if b"size" in records and not describes_next:
            size = _decimal(records[b"size"])
        start = position + _BLOCK
        if kind == _OLD_SPARSE and header[482]:
            start += _skip_sparse_map(file)
        position = start + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        num_members += 1
        if position > MAX_OFFSET:
            raise ArchiveError("the members are longer than a file can be")
        if num_members > MAX_MEMBERS:
            raise ArchiveError(f"the archive has more than {MAX_MEMBERS} members")
        if kind == _LONG_NAME:
            long_name = _read_names(file, size).rstrip(b"\0")
            continue
        if kind == _PAX:
            records = _parse_records(_read_names(file, size))
            continue
        if kind in _SKIPPED:
            continue
        name = records.get(b"path") or long_name or _name_of(header)
        is_sparse = any(key.startswith(b"GNU.sparse") for key in records)
        long_name = b""
        records = {}
        if kind in _NO_FILES or (kind in _FILE_KINDS and name.endswith(b"/")):
            continue
        problem = _PROBLEMS.get(kind, "")
        if is_sparse:
            problem = _PROBLEMS[_OLD_SPARSE]
        elif not problem and kind not in _FILE_KINDS:
            problem = "of an unknown kind"
        yield PackedMember(
            name.decode("utf-8", "surrogateescape"), start, size, size, problem=problem
        )


def _skip_sparse_map(file: ForwardFile) -> int:
    """Reads the blocks that continue the header of a sparse file; returns their bytes."""
    num_bytes = 0
    while True:
        block = file.read(_BLOCK)
        num_bytes += _BLOCK
        if len(block) != _BLOCK:
            raise ArchiveError("the archive ends inside a header")
        if not block[504]:
            return num_bytes


def _check_header(header: bytes) -> None:
    if len(header) != _BLOCK:
        raise ArchiveError("the archive ends inside a header")
    # The checksum is made with eight spaces in its own place.
    expected = sum(header) - sum(header[148:156]) + 8 * 32
    if _number(header[148:156]) != expected:
        raise ArchiveError("the checksum of a header is wrong")


def _number(field: bytes) -> int:
    """Returns the number of a field: octal digits, or binary behind a set bit."""
    if field[0] & 128:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    else:
        digits = field.strip(b" \0")
        if not all(digit in b"01234567" for digit in digits):
            raise ArchiveError("a header has a number that is none")
        value = int(digits or b"0", 8)
    if value > MAX_OFFSET:
        raise ArchiveError(f"a member says that it has {value} bytes")
    return value


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 15:
        raise ArchiveError("a pax header has a size that is none")
    return int(text)


def _name_of(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    prefix = b""
    if header[257:263] == b"ustar\0":  # GNU writes times there
        prefix = header[345:500].split(b"\0", 1)[0]
    return prefix + b"/" + name if prefix else name


def _read_names(file: ForwardFile, size: int) -> bytes:
    if size > _MAX_NAME_BYTES:
        raise ArchiveError(f"a header of names takes {size} bytes")
    data = file.read(size)
    if len(data) != size:
        raise ArchiveError("the archive ends inside a header")
    return data


def _parse_records(data: bytes) -> dict[bytes, bytes]:
    """Returns the records of a pax header, `<length> <key>=<value>` and a line break each."""
    records = {}
    position = 0
    while position < len(data):
        digits = data[position : position + 8].split(b" ", 1)[0]
        if not digits.isdigit():
            raise ArchiveError("a record of a pax header has no length")
        end = position + int(digits)
        key, separator, value = data[position + len(digits) + 1 : end - 1].partition(b"=")
        if not separator or end > len(data):
            raise ArchiveError("a record of a pax header has no value")
        records[key] = value
        position = end
    return records
