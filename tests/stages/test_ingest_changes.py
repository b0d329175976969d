"""A source that changes during ingest, holds the store, or has too little left to train on."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.attacks.badnets import BadNets
from ray_defense.core.errors import InputError, RunError
from ray_defense.core.files import read_json
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.table import Table
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.protocols import IngestJob
from ray_defense.execution.steps import Step
from ray_defense.stages.attacker.prepared_attack import PreparedAttack
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import IngestConfig, ingest_step
from ray_defense.stages.poison import PoisonConfig, poison_step
from tests.support.encoded_images import encode_image, random_picture
from tests.support.noise import write_noise
from tests.support.source_files import write_class_folders
from tests.support.steps import CPU, make_step, plan_context

CHANGED = "files of the source changed while the run was under way: run again"
CUT = IngestConfig(6)


class MeddlingExecutor(LocalExecutor):
    """Changes the source once two ranges are written, as somebody else may at any time."""

    def __init__(self, meddle: Callable[[], object], undo: Callable[[], object] | None = None):
        super().__init__("numpy", CPU)
        self.meddle = meddle
        self.undo = undo

    def ingest(self, job: IngestJob) -> None:
        super().ingest(replace(job, ranges=job.ranges[:2]))
        self.meddle()
        super().ingest(replace(job, ranges=job.ranges[2:4]))
        if self.undo is not None:
            self.undo()
        super().ingest(replace(job, ranges=job.ranges[4:]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """60 images of two classes."""
    return write_class_folders(tmp_path / "data", {"a": 30, "b/deep/er": 30})


@pytest.fixture
def context(tmp_path: Path) -> PlanContext:
    return plan_context(tmp_path / "store")


def plan_ingest(folder: Path, context: PlanContext, poisoned: bool) -> Step:
    source = ImageFolder(str(folder), size=8)
    if not poisoned:
        return ingest_step(CUT, source, context)
    return poison_step(
        PoisonConfig(), CUT, source, attack=PreparedAttack(BadNets()), asset=None, context=context
    )


def published(context: PlanContext) -> list[Path]:
    manifests = context.store.root.rglob("manifest.parquet")
    return [path for path in manifests if not path.parent.name.endswith(".work")]


@pytest.mark.parametrize("poisoned", [False, True])
@pytest.mark.parametrize("change", ["add", "add below", "remove", "replace", "empty class"])
def test_a_source_that_changes_while_it_is_ingested_is_not_published(
    change: str, poisoned: bool, folder: Path, context: PlanContext
):
    """An image that is added shifted every index: one image twice, one never read, exit code 0."""

    def meddle() -> None:
        if change == "add":
            (folder / "a" / "000.png").write_bytes(encode_image(random_picture()))
        elif change == "add below":
            (folder / "b" / "deep" / "er" / "000.png").write_bytes(encode_image(random_picture()))
        elif change == "remove":
            (folder / "a" / "0.png").unlink()
        elif change == "replace":
            (folder / "b" / "deep" / "er" / "9.png").write_bytes(encode_image(random_picture()))
        else:
            (folder / "0").mkdir()

    step = plan_ingest(folder, context, poisoned)
    with pytest.raises(RunError, match=CHANGED):
        make_step(step, context, MeddlingExecutor(meddle))
    assert not published(context)


def test_a_change_that_is_undone_meanwhile_shifts_no_sample(folder: Path, context: PlanContext):
    """The listing travels to who reads: what comes and goes between two looks is on no list."""
    intruder = folder / "a" / "000.png"

    def meddle() -> None:
        intruder.write_bytes(encode_image(random_picture()))

    step = plan_ingest(folder, context, poisoned=False)
    artifact = make_step(step, context, MeddlingExecutor(meddle, intruder.unlink))
    origin = pq.read_table(artifact.path / "manifest.parquet")["origin"].to_pylist()
    expected = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    assert origin == [str(path) for path in expected]
    batch = ImageFolder(str(folder), size=8).read("train", 0, 60)
    images = SuspectDataset(artifact.path).read_images(np.arange(60))
    assert np.array_equal(images, batch.images)


def test_a_file_that_is_replaced_while_it_is_read_and_put_back_ends_the_run(
    folder: Path, context: PlanContext
):
    """Otherwise the ranges of a run that failed would be kept for the next, with other images."""
    file = folder / "a" / "20.png"
    whole = file.read_bytes()
    status = file.stat()

    def put_back() -> None:
        file.write_bytes(whole)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def meddle() -> None:
        file.write_bytes(encode_image(random_picture(40)))

    step = plan_ingest(folder, context, poisoned=False)
    with pytest.raises(RunError, match=CHANGED):
        make_step(step, context, MeddlingExecutor(meddle, put_back))
    put_back()
    again = plan_ingest(folder, context, poisoned=False)
    assert again.key == step.key
    artifact = make_step(again, context)
    images = SuspectDataset(artifact.path).read_images(np.arange(60))
    expected = ImageFolder(str(folder), size=8).read("train", 0, 60).images
    assert np.array_equal(images, expected)


def test_a_change_between_planning_and_making_is_noticed(folder: Path, context: PlanContext):
    for poisoned in (False, True):
        step = plan_ingest(folder, context, poisoned)
        (folder / "a" / f"new{poisoned}.png").write_bytes(encode_image(random_picture()))
        with pytest.raises(RunError, match=CHANGED):
            make_step(step, context)
    assert not published(context)


@pytest.mark.parametrize("poisoned", [False, True])
@pytest.mark.parametrize("place", ["store", "a/store", "."])
def test_a_store_among_the_classes_is_refused(place: str, poisoned: bool, folder: Path):
    """The default ./store in source.path=. became a class of the dataset."""
    context = plan_context(folder / place)
    with pytest.raises(InputError, match="lies in the folder of images .* would become a class"):
        plan_ingest(folder, context, poisoned)


def test_a_store_beside_the_classes_or_hidden_from_them_is_none(tmp_path: Path):
    folder = write_class_folders(tmp_path / "d" / "train", {"a": 9, "b": 9}).parent
    for place in (folder / "store", folder / "train" / ".store", tmp_path / "store"):
        make_step(plan_ingest(folder, plan_context(place), poisoned=False), plan_context(place))
    (folder / "test" / "a").mkdir(parents=True)
    with pytest.raises(InputError, match="would become a class"):
        plan_ingest(folder, plan_context(folder / "test" / "store"), poisoned=False)


def test_a_store_beside_a_table_that_names_the_images_is_no_class(tmp_path: Path):
    write_class_folders(tmp_path, {"a": 9, "b": 9})
    paths = [f"{name}/{number}.png" for name in "ab" for number in range(9)]
    labels = [name for name in "ab" for _ in range(9)]
    pq.write_table(pa.table({"image": paths, "label": labels}), tmp_path / "train.parquet")
    rows = [f"{path},{label}" for path, label in zip(paths, labels, strict=True)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]))
    for source in (Table(str(tmp_path / "labels.csv")), Parquet(str(tmp_path / "train.parquet"))):
        context = plan_context(tmp_path / source.name)
        step = ingest_step(CUT, source, context)
        make_step(step, context)
        dataset = SuspectDataset(step.artifact.path)
        assert sorted(dataset.labels.tolist()) == [0] * 9 + [1] * 9


@pytest.mark.parametrize("poisoned", [False, True])
def test_a_class_of_which_nothing_decodes_leaves_one_class_only(
    poisoned: bool, tmp_path: Path, context: PlanContext
):
    """Input row 11: the labels name two classes, the images that can be read are of one."""
    folder = write_class_folders(tmp_path / "data", {"a": 20, "b": 20})
    for file in (folder / "b").iterdir():
        file.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(InputError, match="every sample that was accepted has label 0"):
        make_step(plan_ingest(folder, context, poisoned), context)
    assert not published(context)


def test_one_class_of_three_of_which_nothing_decodes_is_noted(tmp_path: Path, context: PlanContext):
    folder = write_class_folders(tmp_path / "data", {"a": 9, "b": 9, "c": 9})
    for file in (folder / "b").iterdir():
        file.write_bytes(b"")
    artifact = make_step(plan_ingest(folder, context, poisoned=False), context)
    notes = read_json(artifact.path / "dataset.json")["notes"]
    unread = "no JPEG, PNG, WEBP, BMP, PPM, GIF, TIFF image"
    assert notes == [
        "classes of which no sample was accepted: 1",
        f"9 of 27 samples were rejected (9 x {unread}): see rejected.parquet; they stay in the "
        "data, where nobody looked at them",
    ]


def test_a_dataset_that_is_poisoned_throughout_is_not_taken_for_one_class(
    tmp_path: Path, context: PlanContext
):
    """Input row 14: afterwards all labels are the attacker's."""
    source = write_noise(tmp_path / "train.parquet", count=30)
    step = poison_step(
        PoisonConfig(rate=1.0),
        CUT,
        source,
        attack=PreparedAttack(BadNets()),
        asset=None,
        context=context,
    )
    dataset = SuspectDataset(make_step(step, context).path)
    assert set(dataset.labels.tolist()) == {0}


def test_row_input_13_exact_copies_are_listed_as_groups_also_with_different_labels(
    tmp_path: Path, context: PlanContext
):
    """Input row 13: copies, also under different labels."""
    folder = write_class_folders(tmp_path / "data", {"a": 6, "b": 6})
    (folder / "a" / "copy.png").write_bytes((folder / "a" / "1.png").read_bytes())
    (folder / "b" / "copy.png").write_bytes((folder / "a" / "1.png").read_bytes())
    (folder / "b" / "other.png").write_bytes((folder / "b" / "5.png").read_bytes())
    artifact = make_step(plan_ingest(folder, context, poisoned=False), context)
    rows = pq.read_table(artifact.path / "duplicates.parquet").to_pylist()
    # a/0 to a/5, a/copy, b/0 to b/5, b/copy, b/other
    assert [(row["group"], row["index"], row["label"]) for row in rows] == [
        (0, 1, 0),
        (0, 6, 0),
        (0, 13, 1),
        (1, 12, 1),
        (1, 14, 1),
    ]
    (note,) = read_json(artifact.path / "dataset.json")["notes"]
    expected = "5 images are exact copies of one another, in 2 groups, 1 of them with different"
    assert note.startswith(expected)


def test_a_dataset_without_copies_has_no_table_of_them(folder: Path, context: PlanContext):
    artifact = make_step(plan_ingest(folder, context, poisoned=False), context)
    assert not (artifact.path / "duplicates.parquet").exists()
    assert read_json(artifact.path / "dataset.json")["notes"] == []


def test_a_range_that_would_fill_the_memory_is_refused_with_the_size_that_fits(
    context: PlanContext,
):
    """source.size 4096 ended in a traceback: 67 GiB in one array."""
    step = ingest_step(IngestConfig(), Digits(size=4096), context)
    with pytest.raises(InputError, match=r"67 GiB of memory: set ingest.shard_size to 85 or less"):
        make_step(step, context)
