"""The images of an audit: the user's own files, each compared with the pixels that were audited.

Where a source has no files of single images, a sample is its pixels at the working size, as PNG.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ray_defense.core.config import from_plain, override
from ray_defense.core.errors import InputError, RunError, look_up
from ray_defense.core.progress import report_progress
from ray_defense.data.decode import DecodeError
from ray_defense.data.sources import SOURCES
from ray_defense.data.sources.collect import UndecodedSample
from ray_defense.data.sources.encoded import EncodedSource
from ray_defense.data.sources.protocol import Source
from ray_defense.data.sources.with_trusted import WithTrusted
from ray_defense.data.text import encodable, shortened
from ray_defense.exports.audit_folder import AuditFolder

if TYPE_CHECKING:
    from ray_defense.data.suspect_dataset import SuspectDataset

_CHUNK_BYTES = 2**25  # of pixels in memory at a time
_NUM_NAMED = 3  # changed files that a message names


class Pictures(Protocol):
    """Image files of samples."""

    @property
    def note(self) -> str:
        """What they are, in a sentence."""

    def read(self, positions: np.ndarray) -> Iterator[bytes]:
        """Yields the image file of each sample.

        Args:
            positions: Ascending positions in the dataset, int [n].
        """


def open_pictures(
    audit: AuditFolder, dataset: "SuspectDataset", data: str | Path | None
) -> Pictures:
    """Returns the image files of an audit.

    Args:
        audit: The audit.
        dataset: Its dataset.
        data: Where the data lies now; None for where it lay.

    Raises:
        InputError: If the data is not there.
    """
    source = source_of(audit, data)
    if audit.manifest["configuration"].get("attack") is not None:
        return WorkingSizePng(dataset, "a recipe with an attack changed the images")
    has_files = not isinstance(source, WithTrusted) or source.has_files()
    if not isinstance(source, EncodedSource) or not has_files:
        return WorkingSizePng(dataset, "the source has no file of each image")
    return OriginalFiles(source, dataset, _jpeg_quality(audit))


def check_originals(audit: AuditFolder) -> int:
    """Reads every audited file again, and returns how many there are.

    Raises:
        InputError: If files are gone, or are not what was audited any more; it names some.
    """
    from ray_defense.data.suspect_dataset import SuspectDataset

    dataset = SuspectDataset(audit.artifact("ingest"))
    pictures = open_pictures(audit, dataset, None)
    if not isinstance(pictures, OriginalFiles):
        raise InputError(f"the files cannot be read again ({pictures.note}): leave --rehash out")
    num_read = 0
    for _ in pictures.read(np.arange(dataset.num_samples)):
        num_read += 1
        report_progress("rehash", num_read, dataset.num_samples)
    return num_read


def source_of(audit: AuditFolder, data: str | Path | None = None) -> Source:
    """Returns the source of an audit.

    Args:
        audit: The audit.
        data: Where the data lies now; None for where it lay.

    Raises:
        InputError: If the manifest describes no source.
    """
    plain = dict(audit.manifest["source"])
    kind = look_up(SOURCES, "source", plain.pop("kind", None))
    source: Source = from_plain(kind, plain)
    if data is not None:
        field = "data.path" if isinstance(source, WithTrusted) else "path"
        source = override(source, field, str(data))
    return source


class WorkingSizePng:
    """The pixels that were audited, as PNG."""

    def __init__(self, dataset: "SuspectDataset", reason: str):
        height, width, _ = dataset.image_shape
        self.note = (
            f"images are written at the size that was audited, {width}x{height} pixels, as PNG: "
            f"{reason}"
        )
        self._dataset = dataset

    def read(self, positions: np.ndarray) -> Iterator[bytes]:
        for pixels in read_pixels(self._dataset, positions):
            yield png_bytes(pixels)


class OriginalFiles:
    """The files of the source, byte for byte."""

    note = "images are the original files, byte for byte; each still decodes to the audited pixels"

    def __init__(
        self, source: EncodedSource, dataset: "SuspectDataset", jpeg_quality: int | None
    ) -> None:
        from ray_defense.data.suspect_dataset import MANIFEST
        from ray_defense.data.table_file import read_table

        self._source = source
        self._dataset = dataset
        self._jpeg_quality = jpeg_quality
        table = read_table(dataset.directory / MANIFEST, columns=["origin"])
        self._origins = table["origin"].to_pylist()

    def read(self, positions: np.ndarray) -> Iterator[bytes]:
        """Yields the files; raises InputError at the end if some have changed, with their names."""
        changed = []
        pixels = read_pixels(self._dataset, positions)
        samples = self._samples(positions)
        for position, audited in zip(positions.tolist(), pixels, strict=True):
            sample = next(samples, None)
            expected = (int(self._dataset.index[position]), self._origins[position])
            if sample is None or (sample.index, sample.origin) != expected:
                raise _moved(self._origins[position], sample)
            if sample.label == self._dataset.labels[position] and self._is_audited(sample, audited):
                yield sample.content or b""
            else:
                changed.append(sample.origin)
        if changed:
            named = ", ".join(repr(shortened(name, 100)) for name in changed[:_NUM_NAMED])
            more = f" and {len(changed) - _NUM_NAMED} more" if len(changed) > _NUM_NAMED else ""
            raise InputError(
                f"{len(changed)} files are not what was audited any more ({named}{more}): restore "
                "them, or audit the data again"
            )

    def _samples(self, positions: np.ndarray) -> Iterator[UndecodedSample[bytes | None]]:
        index = self._dataset.index[positions]
        ends = np.flatnonzero(np.diff(index) != 1) + 1
        for run in np.split(index, ends):  # indices without a gap
            try:
                yield from self._source.read_encoded("train", int(run[0]), int(run[-1]) + 1)
            except DecodeError as error:
                raise InputError(
                    f"a file of the data cannot be read any more ({shortened(error, 100)}): "
                    "restore it, or audit the data again"
                ) from None
            except RunError as error:  # vanished meanwhile
                raise InputError(f"the data is not what was audited any more: {error}") from None

    def _is_audited(self, sample: UndecodedSample[bytes | None], audited: np.ndarray) -> bool:
        try:
            pixels = self._source.decode(sample.content)
        except DecodeError:
            return False
        if self._jpeg_quality is not None:
            from ray_defense.data.shards.jpeg import decode_jpeg, encode_jpeg

            height, width, _ = audited.shape
            pixels = decode_jpeg(encode_jpeg(pixels, self._jpeg_quality), height, width)
        return np.array_equal(pixels, audited)


def read_pixels(dataset: "SuspectDataset", positions: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the audited pixels of samples, uint8 [H, W, 3], a few in memory at a time."""
    image_bytes = int(np.prod(dataset.image_shape))
    step = max(1, _CHUNK_BYTES // image_bytes)
    for low in range(0, len(positions), step):
        yield from dataset.read_images(positions[low : low + step])


def png_bytes(pixels: np.ndarray) -> bytes:
    """Returns the PNG of uint8 [H, W, 3]."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _jpeg_quality(audit: AuditFolder) -> int | None:
    ingest = audit.manifest["configuration"].get("ingest")
    quality: Any = ingest.get("jpeg_quality") if isinstance(ingest, dict) else None
    return quality if type(quality) is int else None


def _moved(origin: str, sample: UndecodedSample[Any] | None) -> InputError:
    found = "nothing" if sample is None else repr(shortened(encodable(sample.origin), 100))
    return InputError(
        f"the data is not what was audited any more: where {shortened(origin, 100)!r} was there is "
        f"{found}; restore the files, or audit the data again"
    )
