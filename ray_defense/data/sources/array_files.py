"""Arrays in an .npz file, or in the .npy files of a folder, whose rows are read a few at a time."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ray_defense.core.errors import InputError
from ray_defense.data.text import encodable, shortened
from ray_defense.decoding.npy_header import START_BYTES, NpyHeader, read_npy_header
from ray_defense.decoding.packed_member import ArchiveError, PackedMember
from ray_defense.decoding.zip_members import data_offset, list_zip, read_zip_member

ARRAY_ENDING = ".npy"
_MAX_ARRAYS = 1000
# Of an array that is compressed, or stored column by column: it is in memory as a whole.
MAX_WHOLE_BYTES = 2**32


@dataclass(frozen=True)
class StoredArray:
    """An array in a file."""

    name: str
    file: Path
    start: int  # where its bytes lie, if they lie there as they are
    member: PackedMember | None  # of the .npz file, if it is compressed
    header: NpyHeader
    signature: str  # changes with the file

    @property
    def num_rows(self) -> int:
        """The length of its first axis; 0 if it has none."""
        return self.header.shape[0] if self.header.shape else 0

    def rows(self, low: int, high: int) -> np.ndarray:
        """Returns the rows low to high - 1.

        Raises:
            InputError: If the file ends early, or the array is too large to be unpacked.
        """
        high = min(high, self.num_rows)
        low = min(max(low, 0), high)
        if self.member is not None or self.header.is_fortran:
            return _whole_array(self)[low:high]
        shape = (high - low, *self.header.shape[1:])
        row_bytes = self.header.num_bytes // max(1, self.num_rows)
        try:
            with open(self.file, "rb") as opened:
                opened.seek(self.start + low * row_bytes)
                data = opened.read((high - low) * row_bytes)
        except OSError as error:
            raise _unreadable(self.file, error) from None
        if len(data) != (high - low) * row_bytes:
            raise _unreadable(self.file, "it ends early")
        return np.frombuffer(data, self.header.dtype).reshape(shape)


def find_arrays(path: str, signature: str) -> dict[str, StoredArray]:
    """Returns the arrays at a path by their names.

    Args:
        path: An .npz or .npy file, or a folder of .npy files.
        signature: What changes with the files.

    Raises:
        InputError: If a file is damaged, encrypted, or holds objects.
    """
    root = Path(path)
    arrays = {}
    if root.is_dir():
        for name in array_names(root):
            array = _npy_array(root / name, signature)
            arrays[array.name] = array
        return arrays
    with open(root, "rb") as opened:
        is_zip = opened.read(2) == b"PK"
    if not is_zip:
        array = _npy_array(root, signature)
        return {array.name: array}
    try:
        return _npz_arrays(root, signature)
    except (ArchiveError, OSError) as error:
        raise _unreadable(root, error) from None


def array_names(folder: Path) -> list[str]:
    """Returns the names of the .npy files in a folder; links are none."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(ARRAY_ENDING) and entry.is_file(follow_symlinks=False):
                names.append(entry.name)
    return sorted(names)[:_MAX_ARRAYS]


def _npy_array(file: Path, signature: str) -> StoredArray:
    try:
        with open(file, "rb") as opened:
            start = opened.read(START_BYTES)
            header = read_npy_header(start, os.fstat(opened.fileno()).st_size)
    except (ArchiveError, OSError) as error:
        raise _unreadable(file, error) from None
    name = file.name.removesuffix(ARRAY_ENDING)
    return StoredArray(name, file, header.offset, member=None, header=header, signature=signature)


def _npz_arrays(file: Path, signature: str) -> dict[str, StoredArray]:
    arrays = {}
    with open(file, "rb") as opened:
        for member in list_zip(opened)[:_MAX_ARRAYS]:
            if member.problem or not member.path.endswith(ARRAY_ENDING):
                raise ArchiveError(
                    f"{shortened(encodable(member.path), 60)!r} is no array {member.problem}"
                )
            if member.is_deflated:
                start = read_zip_member(opened, member, START_BYTES)
                place = 0
            else:
                place = data_offset(opened, member)
                opened.seek(place)
                start = opened.read(min(START_BYTES, member.size))
            header = read_npy_header(start, member.size)
            name = member.path.removesuffix(ARRAY_ENDING)
            arrays[name] = StoredArray(
                name,
                file,
                place + header.offset,
                member=member if member.is_deflated else None,
                header=header,
                signature=signature,
            )
    return arrays


@lru_cache(maxsize=4)  # unpacking takes seconds, and every range needs it
def _whole_array(array: StoredArray) -> np.ndarray:
    header = array.header
    if header.num_bytes > MAX_WHOLE_BYTES:
        raise InputError(
            f"the array {shortened(encodable(array.name), 60)!r} takes {header.num_bytes} bytes "
            "unpacked: save it with np.savez, which does not compress, and in C order"
        )
    try:
        with open(array.file, "rb") as opened:
            if array.member is not None:
                data = read_zip_member(opened, array.member)[header.offset :]
            else:
                opened.seek(array.start)
                data = opened.read(header.num_bytes)
    except (ArchiveError, OSError) as error:
        raise _unreadable(array.file, error) from None
    if len(data) != header.num_bytes:
        raise _unreadable(array.file, "it ends early")
    values = np.frombuffer(data, header.dtype)
    if header.is_fortran:
        return values.reshape(header.shape[::-1]).transpose()
    return values.reshape(header.shape)


def _unreadable(file: Path, error: object) -> InputError:
    reason = shortened(encodable(str(error)))
    return InputError(
        f"cannot read the arrays of {shortened(encodable(str(file)))!r} ({reason}): save them "
        "again with np.savez"
    )
