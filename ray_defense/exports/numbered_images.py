"""Image files named by index, for programs that go by a list and not by names."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from ray_defense.exports.protocol import ExportedSample
from ray_defense.exports.safe_names import image_ending


def write_numbered_images(
    folder: Path, samples: Iterable[ExportedSample]
) -> Iterator[tuple[str, ExportedSample]]:
    """Writes the images of samples as `<index>.<ending>` and yields the name of each file."""
    folder.mkdir()
    for sample in samples:
        assert sample.image is not None
        name = f"{sample.index:07d}{image_ending(sample.image)}"
        (folder / name).write_bytes(sample.image)
        yield name, sample
