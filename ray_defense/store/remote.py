"""What of a store is kept elsewhere: files under a prefix of a file system that pyarrow knows by its URI (S3, GCS, HDFS)."""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ray_defense.core import progress
from ray_defense.core.cache import cache_folder
from ray_defense.core.config import fingerprint
from ray_defense.core.errors import Failed, RayDefenseError, Refused

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_BLOCK = 2**20  # bytes copied at a time
_REMEDIES = {Refused: "check the URI, its options and the credentials", Failed: "run the same command again to resume"}


@dataclass(frozen=True)
class Remote:
    """A folder of a file system elsewhere; names are relative to it, with slashes. What fails raises Failed in one line."""

    uri: str  # without credentials and options: what messages show
    file_system: "FileSystem"
    prefix: str  # path of the folder in the file system
    secrets: tuple[str, ...] = field(repr=False)  # what no message may repeat

    def found(self, names: Sequence[str]) -> set[str]:
        """Returns which of `names` are files there."""
        with self._told(f"look into {self.uri}"):
            infos = self.file_system.get_file_info([self._path(name) for name in names])
        return {name for name, info in zip(names, infos, strict=True) if info.is_file}

    def read(self, name: str) -> bytes:
        """Returns the bytes of a file."""
        with self._told(f"read {self.uri}/{name}"):
            return self.file_system.open_input_stream(self._path(name), compression=None).read()

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, in place of the one before."""
        with self._told(f"write {self.uri}/{name}"):
            self._make_folder(name)
            with self.file_system.open_output_stream(self._path(name), compression=None) as sink:
                sink.write(data)

    def check_writable(self) -> None:
        """Raises Refused where nothing can be written."""
        name = ".writable"
        try:
            self.write(name, b"ray_defense looks whether it can write here\n")
        except Failed as error:
            raise Refused(str(error).replace(_REMEDIES[Failed], _REMEDIES[Refused])) from None
        with contextlib.suppress(OSError):  # some may write and not delete; then it stays
            self.file_system.delete_file(self._path(name))

    def send(self, folder: Path, name: str, files: Sequence[str]) -> None:
        """Copies files of the local `folder` to the folder `name`, in order: the last one is there when all are."""
        for done, file in enumerate(files):
            progress.tell(f"sending {name}", done, len(files))
            with self._told(f"send {name}/{file} to {self.uri}"):
                self._make_folder(f"{name}/{file}")
                target = self.file_system.open_output_stream(self._path(f"{name}/{file}"), compression=None)
                with open(folder / file, "rb") as source, target as sink:
                    while block := source.read(_BLOCK):
                        sink.write(block)
        progress.tell(f"sending {name}", len(files), len(files))

    def fetch(self, name: str, files: Mapping[str, str | None], folder: Path) -> None:
        """Copies files of the folder `name` to the local `folder`; raises Failed where one has not the SHA-256 given."""
        for done, (file, wanted) in enumerate(files.items()):
            progress.tell(f"fetching {name}", done, len(files))
            target, digest = folder / file, hashlib.sha256()
            with self._told(f"fetch {name}/{file} from {self.uri}"):
                target.parent.mkdir(parents=True, exist_ok=True)
                source = self.file_system.open_input_stream(self._path(f"{name}/{file}"), compression=None)
                with source, open(target, "wb") as sink:
                    while block := source.read(_BLOCK):
                        digest.update(block)
                        sink.write(block)
            if wanted not in (None, digest.hexdigest()):
                raise Failed(f"{self.uri}/{name}/{file} is not what its record says: delete {name} there and run again")
        progress.tell(f"fetching {name}", len(files), len(files))

    def _path(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    def _make_folder(self, name: str) -> None:
        self.file_system.create_dir(str(PurePosixPath(self._path(name)).parent), recursive=True)

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise _error(Failed, doing, error, self.secrets) from None  # a chain would show what is hidden here


def local_directory(place: str | Path) -> Path | None:
    """Returns the directory that `place` is, as a path or `file:///path`; None for another URI; Refused for half a one."""
    text = str(place)
    if not _URI.match(text):
        return Path(text).expanduser().resolve()
    scheme, slashes, rest = text.partition("://")
    if not slashes:
        raise Refused(f"the store is a URI without its two slashes, {text.split(':')[0]}:/...: give it as text, not as a Path")
    if scheme.lower() != "file":
        return None
    if not rest.startswith("/"):
        raise Refused(f"the store {text} names another machine: give a path, or file:///path")
    return Path(unquote(rest)).resolve()


def working_directory(uri: str) -> Path:
    """Returns where the stages of a store at `uri` work on this machine, which a new password does not change."""
    scheme, _, rest = uri.partition("://")
    user, at, place = rest.rpartition("@")
    identity = f"{scheme}://{user.partition(':')[0]}{at}{place}"
    return cache_folder().expanduser().resolve() / "stores" / fingerprint({"uri": identity})


def shown(uri: str) -> str:
    """Returns a URI without what may be a secret: credentials (also badly quoted ones) and options."""
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0].rstrip('/')}"


def connect(uri: str) -> Remote:
    """Returns the folder at `uri`, whatever `pyarrow.fs.FileSystem.from_uri` takes.

    Raises Refused for another URI, and for a file system that cannot be reached.
    """
    user = uri.partition("://")[2].rpartition("@")[0]
    secrets = tuple({form for part in (user, *user.split(":", 1)) for form in (part, unquote(part)) if part})
    try:
        file_system, prefix = _open(uri)
    except ValueError:  # whose text repeats the whole URI
        raise Refused(
            f"the store {shown(uri)} is no URI that pyarrow takes: check its scheme (s3, gs, hdfs, abfs), its options, "
            "and that credentials in it are percent-encoded"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise _error(Refused, f"open the store {shown(uri)}", error, secrets) from None
    prefix = prefix.rstrip("/")
    if not prefix:
        raise Refused(f"the store {shown(uri)} names no folder: give one, for example s3://bucket/prefix")
    return Remote(shown(uri), file_system, prefix, secrets)


def _open(uri: str) -> tuple["FileSystem", str]:
    from pyarrow.fs import FileSystem  # half a second, which a store in a directory does not need

    return FileSystem.from_uri(uri)


def _error(kind: type[RayDefenseError], doing: str, error: Exception, secrets: Sequence[str]) -> RayDefenseError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    for secret in sorted(secrets, key=len, reverse=True):
        reason = reason.replace(secret, "***")
    return kind(f"cannot {doing}: {reason}; {_REMEDIES[kind]}")
