"""The members of a tar, tar.gz or zip file: listed once, and read in memory, never extracted."""

from pathlib import Path
from typing import BinaryIO, Literal

from ray_defense.core.errors import InputError
from ray_defense.data.decode import DecodeError
from ray_defense.data.limits import MAX_ENCODED_BYTES
from ray_defense.data.sources.archive_layout import LABEL_ENDING
from ray_defense.data.text import encodable, shortened
from ray_defense.decoding.gzip_stream import (
    MAX_GROWTH,
    MIN_BUDGET_BYTES,
    GzipStream,
    PlainStream,
)
from ray_defense.decoding.packed_member import ArchiveError, PackedMember, has_safe_path
from ray_defense.decoding.tar_members import walk_tar
from ray_defense.decoding.zip_members import list_zip, read_zip_member

ENDINGS = (".tar", ".tar.gz", ".tgz", ".zip")
_MAX_LABEL_BYTES = 1024
ArchiveKind = Literal["tar", "tar.gz", "zip"]


def archive_kind(file: Path) -> ArchiveKind:
    """Returns the kind of an archive by its first bytes; what has none of them may be a tar."""
    try:
        with open(file, "rb") as opened:
            start = opened.read(4)
    except OSError as error:
        raise InputError(f"cannot read {_shown(file)}: {error.strerror}") from None
    if start[:2] == b"\x1f\x8b":
        return "tar.gz"
    return "zip" if start in (b"PK\3\4", b"PK\5\6") else "tar"


def list_members(file: Path) -> tuple[list[PackedMember], dict[str, str]]:
    """Returns the files of an archive in its order, and what those hold that end in `.cls`.

    Raises:
        InputError: If the archive is damaged, or unpacks to far more than its size.
    """
    kind = archive_kind(file)
    try:
        if kind == "zip":
            return _list_zip(file)
        return _list_tar(file, kind)
    except (ArchiveError, OSError) as error:
        raise InputError(
            f"cannot read {_shown(file)} as {kind} ({shortened(encodable(str(error)))}): "
            "pack it again"
        ) from None


def _list_zip(file: Path) -> tuple[list[PackedMember], dict[str, str]]:
    class_texts = {}
    with open(file, "rb") as opened:
        members = list_zip(opened)
        num_bytes = sum(member.size for member in members)
        if num_bytes > max(MIN_BUDGET_BYTES, MAX_GROWTH * file.stat().st_size):
            raise ArchiveError(
                f"unpacks to {num_bytes} bytes, over {MAX_GROWTH} times its size: encoded images "
                "never do"
            )
        for member in members:
            if _is_label(member):
                class_texts[member.path] = _text(read_zip_member(opened, member))
    return members, class_texts


def _list_tar(file: Path, kind: ArchiveKind) -> tuple[list[PackedMember], dict[str, str]]:
    members = []
    class_texts = {}
    stream = GzipStream(file) if kind == "tar.gz" else PlainStream(file)
    try:
        for member in walk_tar(stream):
            members.append(member)
            if _is_label(member):
                class_texts[member.path] = _text(stream.read(member.size))
    finally:
        stream.close()
    return members, class_texts


def _is_label(member: PackedMember) -> bool:
    is_label = member.path.lower().endswith(LABEL_ENDING)
    return is_label and not member.problem and member.size <= _MAX_LABEL_BYTES


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace").strip()


# The stream that read the last member of a tar.gz in this process: the next one often lies behind
# it, and a file that is compressed as a whole can only be read from its start.
_last_stream: list[tuple[Path, str, GzipStream]] = []


class MemberReader:
    """Reads members of archives; the archive of the last one stays open until the end of `with`."""

    def __init__(self, max_bytes: int = MAX_ENCODED_BYTES) -> None:
        """Reads members of at most so many bytes."""
        self._max_bytes = max_bytes
        self._open: tuple[Path, ArchiveKind, BinaryIO] | None = None

    def __enter__(self) -> "MemberReader":
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open[2].close()
        self._open = None

    def read(self, file: Path, state: str, member: PackedMember) -> bytes:
        """Returns the bytes of a member.

        Args:
            file: The archive.
            state: What changes with it.
            member: As `list_members` returns it.

        Raises:
            DecodeError: If it is no file, leads out of the archive, is too large or damaged.
        """
        if member.problem:
            raise DecodeError(f"not a regular file of the archive: {member.problem}")
        if not has_safe_path(member.path):
            raise DecodeError("its path leads out of the archive")
        if member.size > self._max_bytes:
            raise DecodeError(f"more than {self._max_bytes} bytes")
        kind, opened = self._opened(file)
        try:
            if kind == "zip":
                return read_zip_member(opened, member)
            if kind == "tar.gz":
                data = _read_gzip(file, state, member)
            else:
                opened.seek(member.offset)
                data = opened.read(member.size)
        except (ArchiveError, OSError) as error:
            raise DecodeError(str(error)) from None
        if len(data) != member.size:
            raise DecodeError("the archive ends inside of it")
        return data

    def _opened(self, file: Path) -> tuple[ArchiveKind, BinaryIO]:
        if self._open is None or self._open[0] != file:
            self.__exit__()
            self._open = (file, archive_kind(file), open(file, "rb"))
        return self._open[1:]


def _read_gzip(file: Path, state: str, member: PackedMember) -> bytes:
    stream = None
    if _last_stream:
        last_file, last_state, last = _last_stream.pop()
        if (last_file, last_state) == (file, state) and last.position <= member.offset:
            stream = last
        else:
            last.close()
    if stream is None:
        stream = GzipStream(file)
    try:
        stream.skip_to(member.offset)
        data = stream.read(member.size)
    except BaseException:
        stream.close()
        raise
    _last_stream.append((file, state, stream))
    return data


def _shown(file: Path) -> str:
    return repr(shortened(encodable(str(file))))
