"""The clean sets: fifty-nine of them, disjoint within a size, with labels from 0 on."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.clean_sets.sets import CleanSet, clean_sets
from ray_defense.data.sources.digits import Digits


def write_rows(file: Path, labels: np.ndarray) -> None:
    """Writes rows whose images are their own numbers."""
    images = [str(number).encode() for number in range(len(labels))]
    pq.write_table(pa.table({"image": images, "label": labels}), file)


def rows_of(clean_set: CleanSet, data: Path, root: Path) -> tuple[set[bytes], list[int]]:
    source = clean_set.make_source(data, root / clean_set.name)
    table = pq.read_table(source.path)
    return set(table["image"].to_pylist()), table["label"].to_pylist()


def test_there_are_as_many_as_a_bound_of_one_in_twenty_needs() -> None:
    names = [clean_set.name for clean_set in clean_sets()]
    assert len(set(names)) == len(names) == 59


def test_parts_of_cifar10_are_disjoint_and_whole(tmp_path: Path) -> None:
    write_rows(tmp_path / "cifar10-train.parquet", np.arange(50_000) % 10)
    seen: set[bytes] = set()
    for number in (0, 1, 15):
        clean_set = CleanSet(f"part{number}", "cifar10", 2_000, number)
        images, labels = rows_of(clean_set, tmp_path, tmp_path)
        assert len(images) == 2_000
        assert not images & seen
        assert set(labels) == set(range(10))
        seen |= images


def test_parts_of_tiny_imagenet_have_all_images_of_their_classes(tmp_path: Path) -> None:
    write_rows(tmp_path / "tinyimagenet-train.parquet", np.arange(2_000) % 200)
    first, labels = rows_of(CleanSet("a", "tinyimagenet", 8, 0), tmp_path, tmp_path)
    second, _ = rows_of(CleanSet("b", "tinyimagenet", 8, 1), tmp_path, tmp_path)
    assert np.bincount(labels).tolist() == [10] * 8
    assert not first & second


def test_digits_keep_a_part_for_a_test_set(tmp_path: Path) -> None:
    sources = []
    for clean_set in clean_sets():
        if clean_set.kind == "digits":
            sources.append(clean_set.make_source(tmp_path, tmp_path))
    assert sources == [Digits(test_fraction=0.2), Digits(test_fraction=0.6)]
