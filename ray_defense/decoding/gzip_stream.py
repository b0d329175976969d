"""A file that gzip compressed, read from the front to the back, with a cap on its growth."""

import gzip
import os
import zlib
from pathlib import Path

from ray_defense.decoding.packed_member import ArchiveError

MAX_GROWTH = 100  # unpacked bytes for each byte of the file; encoded images hardly compress
MIN_BUDGET_BYTES = 2**26  # any file may unpack to these
_STEP_BYTES = 2**20


class GzipStream:
    """The unpacked bytes of a file.

    Attributes:
        position: How many bytes have been read or skipped.
    """

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path, "rb")
        self._budget = max(MIN_BUDGET_BYTES, MAX_GROWTH * os.stat(path).st_size)
        self.position = 0

    def read(self, num_bytes: int) -> bytes:
        """Returns the next bytes; fewer only at the end.

        Raises:
            ArchiveError: If the file is damaged, or unpacks to too much.
        """
        try:
            data = self._file.read(num_bytes)
        except (OSError, EOFError, zlib.error) as error:
            raise ArchiveError(f"does not unpack: {error}") from None
        self.position += len(data)
        if self.position > self._budget:
            raise ArchiveError(
                f"unpacks to over {MAX_GROWTH} times its size: encoded images never do"
            )
        return data

    def skip_to(self, position: int) -> None:
        """Goes forward to a position, or to the end."""
        while self.position < position:
            if not self.read(min(_STEP_BYTES, position - self.position)):
                break

    def close(self) -> None:
        self._file.close()


class PlainStream:
    """A file that is not compressed, read like a `GzipStream`."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb")  # noqa: SIM115  # closed by `close`

    def read(self, num_bytes: int) -> bytes:
        """Returns the next bytes; fewer only at the end."""
        try:
            return self._file.read(num_bytes)
        except OSError as error:
            raise ArchiveError(f"cannot be read: {error.strerror}") from None

    def skip_to(self, position: int) -> None:
        """Goes to a position."""
        self._file.seek(position)

    def close(self) -> None:
        self._file.close()
