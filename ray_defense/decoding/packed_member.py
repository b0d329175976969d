"""A file inside an archive: where its bytes lie, and why they cannot be read, if so."""

from dataclasses import dataclass

MAX_MEMBERS = 2**20  # of one archive; each takes some hundred bytes of memory
MAX_OFFSET = 2**50  # bytes; no file is so long


class ArchiveError(ValueError):
    """The bytes are no archive that we read; the only argument is the reason."""


@dataclass(frozen=True, slots=True)
class PackedMember:
    """A file of an archive, as the archive lists it. Folders are not listed."""

    path: str  # as it stands there; it need not be valid UTF-8 and may lead anywhere
    offset: int  # of the header of the member in a zip, of its bytes in a tar
    size: int  # bytes, unpacked
    packed_size: int
    is_deflated: bool = False
    checksum: int | None = None  # CRC-32
    problem: str = ""  # why it is not read ("a link"), or ""


def has_safe_path(path: str) -> bool:
    """Returns whether a path stays below the folder that an archive would be unpacked to."""
    return not path.startswith(("/", "\\")) and ".." not in path.replace("\\", "/").split("/")
