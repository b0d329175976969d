"""The part of a store at a URI: files under a prefix of a file system that pyarrow knows."""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ray_defense.core.cache import cache_folder
from ray_defense.core.config import fingerprint
from ray_defense.core.errors import DamageError, InputError, RayDefenseError, RunError
from ray_defense.core.progress import report_progress

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_BLOCK_BYTES = 2**20  # copied at a time
_REMEDIES: dict[type[RayDefenseError], str] = {
    InputError: "check the URI, its options and the credentials",
    RunError: "run the same command again to resume",
}


@dataclass(frozen=True)
class RemoteFile:
    """A file below a folder of another file system."""

    name: str  # relative to the folder, with slashes; whoever wrote it chose it
    num_bytes: int
    modified_ns: int  # 0 where the file system does not say


@dataclass(frozen=True)
class RemoteFolder:
    """A folder of a file system elsewhere; names are relative to it and use slashes.

    Every method raises RunError, in one line, for what the file system cannot do.
    """

    uri: str  # without credentials and options: what messages show
    file_system: "FileSystem"
    prefix: str  # path of the folder in the file system
    secrets: tuple[str, ...] = field(repr=False)  # what no message may repeat

    def existing(self, names: Sequence[str]) -> set[str]:
        """Returns the names among `names` that are files there."""
        with self._errors_told(f"look into {self.uri}"):
            infos = self.file_system.get_file_info([self._path(name) for name in names])
        return {name for name, info in zip(names, infos, strict=True) if info.is_file}

    def list_files(self) -> list[str]:
        """Returns the names of all files there, ascending."""
        from pyarrow.fs import FileSelector

        with self._errors_told(f"list {self.uri}"):
            selector = FileSelector(self.prefix, allow_not_found=True, recursive=True)
            infos = self.file_system.get_file_info(selector)
        start = len(self.prefix) + 1
        return sorted(info.path[start:] for info in infos if info.is_file)

    def list_states(self, only: str | None = None) -> list[RemoteFile]:
        """Returns the files there with their sizes and times, ascending by name.

        Args:
            only: The name of the one that is looked at; None for all.
        """
        from pyarrow.fs import FileSelector

        with self._errors_told(f"list {self.uri}"):
            if only is None:
                selector = FileSelector(self.prefix, allow_not_found=True, recursive=True)
                infos = self.file_system.get_file_info(selector)
            else:
                infos = self.file_system.get_file_info([self._path(only)])
        start = len(self.prefix) + 1
        files = []
        for info in infos:
            if info.is_file:
                files.append(RemoteFile(info.path[start:], info.size or 0, info.mtime_ns or 0))
        return sorted(files, key=lambda file: file.name)

    def is_file(self) -> bool:
        """Returns whether it is a file after all."""
        with self._errors_told(f"look at {self.uri}"):
            info = self.file_system.get_file_info([self.prefix])[0]
        return bool(info.is_file)

    def parent(self) -> "RemoteFolder":
        """Returns the folder that it lies in."""
        return replace(
            self,
            uri=self.uri.rpartition("/")[0],
            prefix=str(PurePosixPath(self.prefix).parent),
        )

    def hash(self, name: str) -> str:
        """Returns the SHA-256 of a file in hexadecimal; it is read in blocks."""
        digest = hashlib.sha256()
        with self._errors_told(f"read {self.uri}/{name}"):
            source = self.file_system.open_input_stream(self._path(name), compression=None)
            with source:
                while block := source.read(_BLOCK_BYTES):
                    digest.update(block)
        return digest.hexdigest()

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file."""
        with self._errors_told(f"read {self.uri}/{name}"):
            source = self.file_system.open_input_stream(self._path(name), compression=None)
            data: bytes = source.read()
            return data

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, in place of one that is there already."""
        with self._errors_told(f"write {self.uri}/{name}"):
            self._make_folder_of(name)
            target = self.file_system.open_output_stream(self._path(name), compression=None)
            with target as sink:
                sink.write(data)

    def check_writable(self) -> None:
        """Raises InputError if nothing can be written."""
        name = ".writable"
        try:
            self.write(name, b"ray_defense looks whether it can write here\n")
        except RunError as error:
            message = str(error).replace(_REMEDIES[RunError], _REMEDIES[InputError])
            raise InputError(message) from None
        with contextlib.suppress(OSError):  # some may write and not delete; then it stays
            self.file_system.delete_file(self._path(name))

    def send(self, folder: Path, name: str, files: Sequence[str]) -> None:
        """Copies files of a local folder to the folder `name`.

        Args:
            folder: The local folder.
            name: The folder to copy to.
            files: The files, relative to both folders, in the order in which they are copied: once
                the last one is there, all are.
        """
        for num_done, file in enumerate(files):
            report_progress(f"sending {name}", num_done, len(files))
            with self._errors_told(f"send {name}/{file} to {self.uri}"):
                self._make_folder_of(f"{name}/{file}")
                path = self._path(f"{name}/{file}")
                target = self.file_system.open_output_stream(path, compression=None)
                with open(folder / file, "rb") as source, target as sink:
                    while block := source.read(_BLOCK_BYTES):
                        sink.write(block)
        report_progress(f"sending {name}", len(files), len(files))

    def fetch(self, name: str, files: Mapping[str, str | None], folder: Path) -> None:
        """Copies files of the folder `name` to a local folder.

        Args:
            name: The folder to copy from; "" for this one.
            files: The SHA-256 that each file must have, by its relative path; None for any.
            folder: The local folder.

        Raises:
            DamageError: If a file has another SHA-256.
        """
        for num_done, (file, expected) in enumerate(files.items()):
            report_progress(f"fetching {name or self.uri}", num_done, len(files))
            digest = hashlib.sha256()
            with self._errors_told(f"fetch {name}/{file} from {self.uri}"):
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                path = self._path(f"{name}/{file}" if name else file)
                source = self.file_system.open_input_stream(path, compression=None)
                with source, open(target, "wb") as sink:
                    while block := source.read(_BLOCK_BYTES):
                        digest.update(block)
                        sink.write(block)
            if expected not in (None, digest.hexdigest()):
                folder_there = f"{self.uri}/{name}"
                raise DamageError.of(f"{folder_there}/{file}", "is damaged", folder_there)
        report_progress(f"fetching {name or self.uri}", len(files), len(files))

    def _path(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def _make_folder_of(self, name: str) -> None:
        folder = PurePosixPath(self._path(name)).parent
        self.file_system.create_dir(str(folder), recursive=True)

    @contextlib.contextmanager
    def _errors_told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            # A chained error would show what is hidden here.
            raise _error_without_secrets(RunError, doing, error, self.secrets) from None


def local_directory(location: str | Path, what: str = "store") -> Path | None:
    """Returns the directory that a location is, or None if it is a URI of another file system.

    Args:
        location: A path, `file:///path`, or another URI.
        what: How messages call what lies there.

    Raises:
        InputError: If it is half a URI, or a `file:` URI of another machine.
    """
    text = str(location)
    if not _URI.match(text):
        return Path(text).expanduser().resolve()
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        scheme = text.split(":")[0]
        raise InputError(
            f"the {what} is a URI without its two slashes, {scheme}:/...: "
            "give it as text, not as a Path"
        )
    if scheme.lower() != "file":
        return None
    if not rest.startswith("/"):
        raise InputError(f"the {what} {text} names another machine: give a path, or file:///path")
    return Path(unquote(rest)).resolve()


def working_directory(uri: str) -> Path:
    """Returns where a store at a URI works on this machine; a new password does not change it."""
    scheme, _, rest = uri.partition("://")
    user, at, host_and_path = rest.rpartition("@")
    identity = f"{scheme}://{user.partition(':')[0]}{at}{host_and_path}"
    return cache_folder().expanduser().resolve() / "stores" / fingerprint({"uri": identity})


def without_secrets(uri: str) -> str:
    """Returns a URI without its options and credentials, also badly quoted ones."""
    scheme, _, rest = uri.partition("://")
    host_and_path = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{host_and_path.rstrip('/')}"


def connect(uri: str, what: str = "store") -> RemoteFolder:
    """Returns the folder at a URI.

    Args:
        uri: Whatever `pyarrow.fs.FileSystem.from_uri` takes, with a folder.
        what: How messages call what lies there.

    Raises:
        InputError: If it is no such URI, names no folder, or cannot be reached.
    """
    shown = without_secrets(uri)
    secrets = _secrets_in(uri)
    try:
        file_system, prefix = _open(uri)
    except ValueError:  # whose text repeats the whole URI
        raise InputError(
            f"the {what} {shown} is no URI that pyarrow takes: check its scheme "
            "(s3, gs, hdfs, abfs), its options, and that credentials in it are percent-encoded"
        ) from None
    except (OSError, NotImplementedError) as error:
        doing = f"open the {what} {shown}"
        raise _error_without_secrets(InputError, doing, error, secrets) from None
    prefix = prefix.rstrip("/")
    if not prefix:
        raise InputError(
            f"the {what} {shown} names no folder: give one, for example s3://bucket/prefix"
        )
    return RemoteFolder(shown, file_system, prefix, secrets)


def _secrets_in(uri: str) -> tuple[str, ...]:
    """Returns user and password of a URI, together and apart, as written and unquoted."""
    credentials = uri.partition("://")[2].rpartition("@")[0]
    secrets: set[str] = set()
    for part in (credentials, *credentials.split(":", 1)):
        if part:
            secrets.update((part, unquote(part)))
    return tuple(secrets)


def _open(uri: str) -> tuple["FileSystem", str]:
    from pyarrow.fs import FileSystem  # takes half a second, which a local store need not pay

    file_system, prefix = FileSystem.from_uri(uri)
    return file_system, prefix


def _error_without_secrets(
    kind: type[RayDefenseError], doing: str, error: Exception, secrets: Sequence[str]
) -> RayDefenseError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    for secret in sorted(secrets, key=len, reverse=True):
        reason = reason.replace(secret, "***")
    return kind(f"cannot {doing}: {reason}; {_REMEDIES[kind]}")
