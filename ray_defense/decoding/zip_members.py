"""The members of a zip archive, from its directory, and the bytes of one of them, within limits."""

import io
import stat
import zipfile
import zlib
from typing import BinaryIO

from ray_defense.decoding.packed_member import MAX_MEMBERS, MAX_OFFSET, ArchiveError, PackedMember

# The directory is read as a whole; each entry of 46 bytes and a name becomes an object.
_MAX_DIRECTORY_BYTES = 2**26
_HEADER_BYTES = 30
_MAX_OVERHEAD_BYTES = 1024  # beside an eighth, by which packing may lengthen what cannot be packed
_ENCRYPTED = 1  # a flag


class _CappedFile(io.RawIOBase):
    """A file of which no more than a directory is read at a time."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        wanted = _MAX_DIRECTORY_BYTES + 1 if size < 0 else size
        data = self._file.read(min(wanted, _MAX_DIRECTORY_BYTES + 1))
        if len(data) > _MAX_DIRECTORY_BYTES:
            raise ArchiveError(f"the directory has more than {_MAX_DIRECTORY_BYTES} bytes")
        return data


def list_zip(file: BinaryIO) -> list[PackedMember]:
    """Returns the members of a zip archive in the order of their places in it.

    Raises:
        ArchiveError: If the directory is damaged or too large.
    """
    try:
        with zipfile.ZipFile(_CappedFile(file)) as archive:
            entries = archive.infolist()
    # zipfile raises what struct and its own checks of names and versions do.
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError) as error:
        raise ArchiveError(str(error)) from None
    if len(entries) > MAX_MEMBERS:
        raise ArchiveError(f"the archive has more than {MAX_MEMBERS} members")
    members = []
    for entry in entries:
        if entry.filename.endswith("/"):
            continue
        if not 0 <= entry.header_offset <= MAX_OFFSET or entry.compress_size > MAX_OFFSET:
            raise ArchiveError("the directory has a place that is none")
        member = PackedMember(
            entry.filename,
            entry.header_offset,
            size=entry.file_size,
            packed_size=entry.compress_size,
            is_deflated=entry.compress_type == zipfile.ZIP_DEFLATED,
            checksum=entry.CRC,
            problem=_problem_of(entry),
        )
        members.append(member)
    return sorted(members, key=lambda member: member.offset)


def _problem_of(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & _ENCRYPTED:
        return "encrypted"
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "a link or a device"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed in another way than store and deflate"
    return ""


def data_offset(file: BinaryIO, member: PackedMember) -> int:
    """Returns where the packed bytes of a member start.

    Raises:
        ArchiveError: If there is no header where the directory says.
    """
    file.seek(member.offset)
    header = file.read(_HEADER_BYTES)
    if len(header) != _HEADER_BYTES or not header.startswith(b"PK\3\4"):
        raise ArchiveError("no header where the directory says")
    name_bytes = int.from_bytes(header[26:28], "little")
    extra_bytes = int.from_bytes(header[28:30], "little")
    return member.offset + _HEADER_BYTES + name_bytes + extra_bytes


def read_zip_member(file: BinaryIO, member: PackedMember, num_bytes: int | None = None) -> bytes:
    """Returns the bytes of a member that has no problem; never more than its size and one.

    Args:
        file: The archive.
        member: As `list_zip` returns it.
        num_bytes: How many bytes are wanted, the first ones, unchecked; None: all.

    Raises:
        ArchiveError: If they are damaged, or others than the directory says.
    """
    if member.packed_size > member.size + member.size // 8 + _MAX_OVERHEAD_BYTES:
        raise ArchiveError(f"{member.packed_size} packed bytes of {member.size}")
    file.seek(data_offset(file, member))
    if num_bytes is not None:
        packed = file.read(min(member.packed_size, num_bytes))
        return _unpacked(packed, num_bytes) if member.is_deflated else packed
    data = file.read(member.packed_size)
    if member.is_deflated:
        data = _unpacked(data, member.size + 1)
    if len(data) != member.size or zlib.crc32(data) != member.checksum:
        raise ArchiveError("its bytes are others than the directory of the archive says")
    return data


def _unpacked(packed: bytes, max_bytes: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, max_bytes)
    except zlib.error as error:
        raise ArchiveError(f"does not unpack: {error}") from None
