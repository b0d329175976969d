"""Random .beton files, and mutations of their bytes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ray_defense.data.shards.beton import FIELD, HEADER, TABLE, sample_dtype
from ray_defense.data.shards.beton_writer import write_beton

FIELDS_START = HEADER.itemsize
SAMPLES_START = FIELDS_START + 3 * FIELD.itemsize
SAMPLE = sample_dtype(3)

Mutation = Callable[[np.ndarray], np.ndarray]


def random_samples(
    count: int, height: int, width: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns images, uint8 [N, H, W, 3], labels and distinct indices, int64 [N]."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    labels = generator.integers(0, 10, count)
    index = generator.permutation(10 * count)[:count]
    return images, labels, index


def write_random_beton(
    path: Path, count: int, height: int, width: int, jpeg_quality: int | None = None
) -> np.ndarray:
    """Writes `random_samples` as a .beton file and returns its bytes, uint8."""
    images, labels, index = random_samples(count, height, width)
    write_beton(path, images, labels, index, jpeg_quality=jpeg_quality)
    return np.fromfile(path, np.uint8)


def header_view(data: np.ndarray) -> np.ndarray:
    """Returns the header of a file; a change to it changes the file."""
    return data[: HEADER.itemsize].view(HEADER)


def fields_view(data: np.ndarray) -> np.ndarray:
    """Returns the three field descriptors of a file; a change to them changes the file."""
    return np.ndarray(3, FIELD, data, FIELDS_START)


def samples_view(data: np.ndarray) -> np.ndarray:
    """Returns the metadata of a file; a change to it changes the file."""
    num_samples = int(header_view(data)["num_samples"][0])
    return np.ndarray(num_samples, SAMPLE, data, SAMPLES_START)


def table_view(data: np.ndarray) -> np.ndarray:
    """Returns the allocation table of a file; a change to it changes the file."""
    header = header_view(data)
    num_samples = int(header["num_samples"][0])
    return np.ndarray(num_samples, TABLE, data, int(header["table_offset"][0]))


def page_view(data: np.ndarray, row: int) -> np.ndarray:
    """Returns the bytes of an image in a file; a change to them changes the file."""
    offset = int(table_view(data)["offset"][row])
    size = int(table_view(data)["size"][row])
    return data[offset : offset + size]


def set_header(name: str, value: int) -> Mutation:
    def mutate(data: np.ndarray) -> np.ndarray:
        header_view(data)[name] = value
        return data

    return mutate


def set_field(name: str, value: int | bytes) -> Mutation:
    def mutate(data: np.ndarray) -> np.ndarray:
        fields_view(data)[name][1] = value
        return data

    return mutate


def set_image(name: str, value: int, row: slice | int = 1) -> Mutation:
    def mutate(data: np.ndarray) -> np.ndarray:
        samples_view(data)["image"][name][row] = value
        return data

    return mutate


def set_table(name: str, value: int, row: slice | int = 1) -> Mutation:
    def mutate(data: np.ndarray) -> np.ndarray:
        table_view(data)[name][row] = value
        return data

    return mutate


def set_offset(offset_of: Callable[[np.ndarray, int], int]) -> Mutation:
    """Moves the second image, in table and metadata, to `offset_of(file, first offset)`."""

    def mutate(data: np.ndarray) -> np.ndarray:
        offset = offset_of(data, int(table_view(data)["offset"][0]))
        table_view(data)["offset"][1] = offset
        samples_view(data)["image"]["offset"][1] = offset
        return data

    return mutate


def set_negative(name: str) -> Mutation:
    def mutate(data: np.ndarray) -> np.ndarray:
        samples_view(data)[name][3] = -1
        return data

    return mutate


def fill_page(content: bytes) -> Mutation:
    """Puts other bytes, and zeros up to its end, in the page of the second image."""

    def mutate(data: np.ndarray) -> np.ndarray:
        page = page_view(data, 1)
        assert len(content) <= len(page)
        page[:] = 0
        page[: len(content)] = np.frombuffer(content, np.uint8)
        return data

    return mutate
