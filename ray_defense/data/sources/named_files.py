"""Image files that a table names by their paths, below one folder: listed, then read as listed.

A file that is not there, lies elsewhere or behind a link keeps its position and is rejected.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ray_defense.data.decode import DecodedImage, DecodeError, decode_recorded
from ray_defense.data.limits import max_encoded_bytes
from ray_defense.data.sources.collect import UndecodedSample, collect_batch
from ray_defense.data.sources.files_below import read_below, status_below
from ray_defense.data.sources.listing import ListedFile, source_changed
from ray_defense.data.sources.protocol import Batch, SourceInfo
from ray_defense.data.text import encodable, shortened

_ABSENT = -1  # the size of a file that is not there


def list_named(root: Path, rows: Iterable[tuple[str, int]]) -> Iterator[ListedFile]:
    """Yields the path and the label of each row with the state of its file.

    Args:
        root: The folder that the paths are relative to.
        rows: The path and the label of each.
    """
    for path, label in rows:
        size = _ABSENT
        modified_ns = 0
        try:
            status = status_below(root, path)
            size = status.st_size
            modified_ns = status.st_mtime_ns
        except DecodeError:
            pass  # its row is rejected when it is read
        yield ListedFile(path, label, size=size, modified_ns=modified_ns)


def read_named(
    root: Path, files: Sequence[ListedFile], low: int, *, info: SourceInfo, max_pixels: int
) -> Batch:
    """Returns listed files as the samples from position `low` on.

    Args:
        root: The folder that their paths are relative to.
        files: What `list_named` returned.
        low: The position of the first.
        info: What the source holds.
        max_pixels: Of an image before it is resized.

    Raises:
        RunError: If a file is not as it was when it was listed.
    """

    def decode_file(listed: ListedFile) -> DecodedImage:
        return decode_recorded(_read_listed(root, listed, max_pixels), info.size, max_pixels)

    samples = []
    for index, file in enumerate(files, low):
        samples.append(UndecodedSample(index, _origin(file), file.label, content=file))
    return collect_batch(samples, info, decode_file)


def read_named_encoded(
    root: Path, files: Iterable[ListedFile], low: int, max_pixels: int
) -> Iterator[UndecodedSample[bytes | None]]:
    """Yields listed files as they are, as the samples from position `low` on.

    Raises:
        DecodeError: If there is no regular file, or it may not be read.
        RunError: If a file is not as it was when it was listed.
    """
    for index, file in enumerate(files, low):
        data = _read_listed(root, file, max_pixels)
        yield UndecodedSample(index, _origin(file), file.label, content=data)


def _origin(file: ListedFile) -> str:
    return shortened(encodable(file.path))


def _read_listed(root: Path, listed: ListedFile, max_pixels: int) -> bytes:
    try:
        status = status_below(root, listed.path)
    except DecodeError:
        if listed.size == _ABSENT:
            raise
        raise source_changed(listed.path) from None
    if (status.st_size, status.st_mtime_ns) != (listed.size, listed.modified_ns):
        raise source_changed(listed.path)
    return read_below(root, listed.path, status, max_encoded_bytes(max_pixels))
