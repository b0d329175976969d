"""Every source gives each sample under its place or says why not, in any process and for any range."""

import hashlib
import io
import json
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ray_defense.core.errors import Refused
from ray_defense.data.sources import SOURCES, check_labels, class_folders
from ray_defense.data.sources.cifar import CIFAR100_CLASSES, Cifar10, Cifar100
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.parquet import Parquet

RANDOM = np.random.default_rng(0)
REAL = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_places(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_DEFENSE_DATA", raising=False)
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(tmp_path / "cache"))


def picture(side: int = 32) -> np.ndarray:
    return RANDOM.integers(0, 256, (side, side, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(path: Path, images: list, labels: list, metadata: dict | None = None, **options) -> Path:
    label = labels if isinstance(labels, pa.Array) else pa.array(labels)
    table = pa.table({"image": images, "label": label}).replace_schema_metadata(metadata)
    pq.write_table(table, path, **options)
    return path


def write_folder(root: Path, **classes: int) -> Path:
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            (root / name / f"{i}.png").write_bytes(png(picture()))
    return root


def write_archive(path: Path, members: dict[str, bytes]) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return hashlib.md5(path.read_bytes()).hexdigest()


def cifar10_members(records: int = 3) -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    images = RANDOM.integers(0, 256, (6 * records, 32, 32, 3), dtype=np.uint8)
    labels = RANDOM.integers(0, 10, 6 * records)
    rows = [bytes([label]) + image.transpose(2, 0, 1).tobytes() for image, label in zip(images, labels, strict=True)]
    parts = [b"".join(rows[i : i + records]) for i in range(0, len(rows), records)]
    return {f"cifar-10-batches-bin/{name}": part for name, part in zip(names, parts, strict=True)}, images, labels


@pytest.fixture(params=sorted(SOURCES))
def source(request, tmp_path):
    labels = [0, 1, 2, 1, 0, 2, 1]
    images = [png(picture()) for _ in labels]
    folder = tmp_path / "data"
    folder.mkdir()
    for split in ("train", "test"):
        write_parquet(folder / f"{split}.parquet", images, labels, row_group_size=3)
        write_folder(folder / split, cat=4, dog=3)
    path = {name: {"path": str(folder)} for name in ("parquet", "image_folder", "imagenet200")} | {"digits": {}}
    path["imagenet200"]["num_classes"] = 2
    return SOURCES[request.param](**path.get(request.param, {"root": str(folder)}))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_range_gives_the_same_samples_as_the_whole(source, split):
    labels, info = source.labels(split), source.info()
    whole = source.read(split, 0, 7)
    assert whole.images.shape == (7, info.size, info.size, 3) and whole.images.dtype == np.uint8
    assert whole.index.dtype == whole.labels.dtype == labels.dtype == np.int64
    assert whole.index.tolist() == list(range(7)) and not whole.rejected
    assert np.array_equal(whole.labels, labels[:7])
    assert len(info.class_names) == info.num_classes and isinstance(info.class_names, tuple)
    for lo, hi in [(0, 1), (2, 4), (3, 6), (6, 7)]:
        part = source.read(split, lo, hi)
        assert part.index.tolist() == list(range(lo, hi))
        assert np.array_equal(part.images, whole.images[lo:hi])
        assert np.array_equal(part.labels, whole.labels[lo:hi])
        assert part.origin == whole.origin[lo:hi]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_range_is_clamped_to_the_source(source, split):
    count = len(source.labels(split))
    assert source.read(split, count - 1, count + 10).index.tolist() == [count - 1]
    assert source.read(split, -5, 1).index.tolist() == [0]
    for lo, hi in [(count, count + 5), (3, 3), (5, 2)]:
        empty = source.read(split, lo, hi)
        assert empty.images.shape == (0, source.info().size, source.info().size, 3) and empty.origin == ()


def test_a_source_survives_pickling(source):
    assert pickle.loads(pickle.dumps(source)) == source
    assert SOURCES[source.name] is type(source)


# digits


def test_digits_split_every_image_once_and_stay_gray():
    digits = Digits(size=16, test_fraction=0.25)
    train, test = digits.read("train", 0, 2000), digits.read("test", 0, 2000)
    assert len(test.index) == 449 and len(train.index) == 1797 - 449
    assert len({*train.origin, *test.origin}) == 1797
    assert (train.images == train.images[..., :1]).all() and train.images.max() == 255
    assert Digits(test_fraction=0.0).labels("test").shape == (0,)


def test_digits_of_an_impossible_fraction_are_refused():
    with pytest.raises(Refused, match="test_fraction"):
        Digits(test_fraction=1.5)


# image folder


def test_a_folder_without_train_is_a_training_set_alone(tmp_path):
    source = ImageFolder(str(write_folder(tmp_path / "d", zebra=2, ant=1)))
    assert source.info().class_names == ("ant", "zebra")
    assert source.labels("train").tolist() == [0, 1, 1]
    assert source.labels("test").tolist() == [] and len(source.read("test", 0, 9).index) == 0
    assert source.read("train", 0, 9).origin == ("ant/0.png", "zebra/0.png", "zebra/1.png")


def test_only_regular_images_of_a_folder_are_read_and_the_others_keep_their_place(tmp_path):
    root = write_folder(tmp_path / "d", cat=1, dog=1)
    (root / "cat" / "deep").mkdir()
    (root / "cat" / "deep" / "x.jpg").write_bytes(png(picture(50)))
    (root / "cat" / "a.txt").write_text("no image")
    (root / "cat" / "b.png").symlink_to(root / "dog" / "0.png")
    (root / "cat" / "c.png").symlink_to("/dev/zero")
    (root / "cat" / "loop").symlink_to(root / "cat")
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "readme.txt").write_text("not in a class")
    source = ImageFolder(str(root))
    batch = source.read("train", 0, 99)
    assert len(source.labels("train")) == 8
    assert batch.origin == ("cat/0.png", "cat/deep/x.jpg", "dog/0.png") and batch.index.tolist() == [0, 4, 7]
    rejected = {sample.index: sample.origin for sample in batch.rejected}
    assert rejected == {1: "cat/a.txt", 2: "cat/b.png", 3: "cat/c.png", 5: "cat/loop", 6: "cat/pipe.png"}
    assert all("regular" in sample.reason for sample in batch.rejected[1:])


@pytest.mark.parametrize("name", ["ü\n<b>", "-rf", "=cmd", "\x1b[31m", os.fsdecode(b"\xff")])
def test_any_file_name_gives_an_origin_that_can_be_encoded(tmp_path, name):
    write_folder(tmp_path / "d", **{name: 1, "other": 1})
    source = ImageFolder(str(tmp_path / "d"))
    assert all(text.encode() for text in (*source.info().class_names, *source.read("train", 0, 9).origin))
    assert len(source.read("train", 0, 9).index) == 2


def test_a_file_added_later_is_seen(tmp_path):
    root = write_folder(tmp_path / "d", cat=1, dog=1)
    assert len(ImageFolder(str(root)).labels("train")) == 2
    (root / "cat" / "9.png").write_bytes(png(picture()))
    os.utime(root / "cat", (1, 1))
    assert len(ImageFolder(str(root)).labels("train")) == 3


def test_a_class_that_only_the_test_set_has_is_rejected(tmp_path):
    write_folder(tmp_path / "train", cat=1, dog=1)
    write_folder(tmp_path / "test", bird=1, dog=1)
    source = ImageFolder(str(tmp_path))
    assert source.labels("test").tolist() == [-1, 1]
    assert [sample.origin for sample in source.read("test", 0, 9).rejected] == ["test/bird/0.png"]


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "half" / "test", cat=1)
    write_folder(tmp_path / "linked", cat=1)
    (tmp_path / "linked" / "dog").symlink_to(tmp_path / "half")
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "train").symlink_to(tmp_path / "linked")
    write_folder(tmp_path / "broken" / "train", cat=1)
    (tmp_path / "broken" / "test").symlink_to(tmp_path / "gone")
    said_of = {"gone": "no folder", "empty": "no class", "half": "no train"}
    said_of |= {"linked": "link", "moved": "link", "broken": "link"}
    for path, said in said_of.items():
        with pytest.raises(Refused, match=said):
            ImageFolder(str(tmp_path / path)).labels("train")
    with pytest.raises(Refused, match="no folder"):
        ImageFolder().info()


def test_reading_a_range_keeps_the_names_of_few_classes_in_memory(tmp_path):
    write_folder(tmp_path / "train", **{f"c{i:02}": 3 for i in range(12)})
    source = ImageFolder(str(tmp_path))
    class_folders._list.cache_clear()
    origin = [source.read("train", low, low + 5).origin for low in range(0, 36, 5)]
    assert sum(origin, ()) == tuple(f"train/c{i:02}/{j}.png" for i in range(12) for j in range(3))
    assert class_folders._list.cache_info().currsize <= 4


# Parquet


def test_a_limit_keeps_the_first_training_samples_and_the_whole_test_set(tmp_path):
    labels = [0, 1, 2, 1, 0, 2, 1]
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [png(picture()) for _ in labels], labels, row_group_size=3)
    whole, source = Parquet(str(tmp_path)), Parquet(str(tmp_path), limit=5)
    assert source.labels("train").tolist() == [0, 1, 2, 1, 0] and len(source.labels("test")) == 7
    batch = source.read("train", 2, 9)
    assert batch.index.tolist() == [2, 3, 4] and np.array_equal(batch.images, whole.read("train", 2, 5).images)
    assert len(source.read("test", 0, 9).index) == 7
    with pytest.raises(Refused, match="limit"):
        Parquet(str(tmp_path), limit=0)


def test_bad_rows_of_a_parquet_file_are_rejected_with_their_place(tmp_path):
    good = png(picture())
    images = [good, None, b"junk", good, good, good, b""]
    labels = pa.array([0, 1, 1, None, 7, -3, 0], pa.int64())
    source = Parquet(str(write_parquet(tmp_path / "a.parquet", images, labels)), num_classes=2)
    batch = source.read("train", 0, 99)
    assert source.labels("train").tolist() == [0, 1, 1, -1, 7, -3, 0]
    assert batch.index.tolist() == [0] and batch.origin == ("row 0",)
    assert [(sample.index, sample.origin) for sample in batch.rejected] == [(i, f"row {i}") for i in range(1, 7)]
    assert "no image bytes" in batch.rejected[0].reason and "label 7" in batch.rejected[3].reason


def test_fractional_labels_are_invalid_and_whole_floats_are_not(tmp_path):
    labels = [0.0, 1.5, float("nan"), float("inf"), 2.0, 1e300]
    file = write_parquet(tmp_path / "a.parquet", [png(picture())] * 6, pa.array(labels))
    assert Parquet(str(file)).labels("train").tolist() == [0, -1, -1, -1, 2, -1]
    assert Parquet(str(file)).info().num_classes == 3


def test_the_image_struct_of_hugging_face_is_read_by_its_bytes_alone(tmp_path):
    pixels = picture()
    images = [{"bytes": png(pixels), "path": None}, {"bytes": None, "path": "/etc/passwd"}, None]
    batch = Parquet(str(write_parquet(tmp_path / "a.parquet", images, [0, 1, 1])), num_classes=2).read("train", 0, 3)
    assert np.array_equal(batch.images[0], pixels)
    assert [sample.reason for sample in batch.rejected] == ["no image bytes in the row"] * 2


@pytest.mark.parametrize("classes", [json.dumps(["ant", "bee, big", "cat"]), "ant,bee,cat"])
def test_class_names_come_from_the_schema(tmp_path, classes):
    file = write_parquet(tmp_path / "a.parquet", [png(picture())] * 2, [0, 1], {"classes": classes})
    assert Parquet(str(file)).info().num_classes == 3
    assert Parquet(str(file)).info().class_names[2] == "cat"
    assert Parquet(str(file), num_classes=2).info().class_names == ("0", "1")


def test_an_absurd_largest_label_does_not_become_the_number_of_classes(tmp_path):
    file = write_parquet(tmp_path / "a.parquet", [png(picture())] * 3, [0, 1, 10**12])
    with pytest.raises(Refused, match="num_classes"):
        Parquet(str(file)).info()


@pytest.mark.parametrize("data", [b"", b"garbage" * 100, b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path, data):
    (tmp_path / "a.parquet").write_bytes(data)
    for ask in (lambda s: s.info(), lambda s: s.labels("train"), lambda s: s.read("train", 0, 1)):
        with pytest.raises(Refused, match="damaged"):
            ask(Parquet(str(tmp_path / "a.parquet"), num_classes=2))


def test_a_damaged_parquet_file_is_refused_or_read_but_never_shorter(tmp_path):
    file = write_parquet(tmp_path / "a.parquet", [png(picture()) for _ in range(8)], [0, 1] * 4)
    data = file.read_bytes()
    refused = 0
    for cut in (len(data) // 3, len(data) - 1):
        file.write_bytes(data[:cut])
        with pytest.raises(Refused):
            Parquet(str(file), num_classes=2).read("train", 0, 8)
    for place in range(4, len(data), len(data) // 60):
        file.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
        try:
            batch = Parquet(str(file), num_classes=2).read("train", 0, 8)
        except Refused:
            refused += 1
        else:
            assert len(batch.index) + len(batch.rejected) == 8
    assert refused


@pytest.mark.parametrize(
    "columns",
    [
        {"image": [b"x"]},
        {"img": [b"x"], "label": [0]},
        {"image": ["text"], "label": [0]},
        {"image": [[b"x"]], "label": [0]},
        {"image": [{"path": "x"}], "label": [0]},
        {"image": [b"x"], "label": ["cat"]},
        {"image": [b"x"], "label": [[0]]},
        {"image": [b"x"], "label": [True]},
    ],
)
def test_another_schema_is_refused(tmp_path, columns):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(Refused, match="must have the columns"):
        Parquet(str(tmp_path / "a.parquet"), num_classes=2).labels("train")


@pytest.mark.parametrize("classes", ["[" * 100_000, "[1", '["ant", {"b": 1}]'])
def test_a_strange_list_of_classes_never_crashes(tmp_path, classes):
    file = write_parquet(tmp_path / "a.parquet", [png(picture())] * 2, [0, 1], {"classes": classes})
    try:
        assert Parquet(str(file)).info().num_classes == 2
    except Refused as error:
        assert "schema" in str(error)


@pytest.mark.parametrize("row_bytes", [100_000, 2_000_000])
def test_a_small_file_that_decodes_to_much_is_refused_on_the_way(tmp_path, row_bytes):
    rows = 200_000_000 // row_bytes
    image = pa.DictionaryArray.from_arrays(np.zeros(rows, dtype=np.int32), pa.array([bytes(row_bytes)]))
    table = pa.table({"image": image, "label": np.zeros(rows, dtype=np.int64)})
    options = {"compression": "zstd", "store_schema": False, "dictionary_pagesize_limit": 2**24}
    pq.write_table(table, tmp_path / "a.parquet", **options)
    assert (tmp_path / "a.parquet").stat().st_size < 4000
    pool = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(pool)
    pa.set_memory_pool(counting)
    try:
        with pytest.raises(Refused, match="times its size"):
            Parquet(str(tmp_path / "a.parquet"), num_classes=2).read("train", 0, rows)
    finally:
        pa.set_memory_pool(pool)
    assert 0 < counting.max_memory() < 80_000_000


def test_a_small_file_of_very_many_labels_is_refused(tmp_path):
    rows = 10_000_000
    images = pa.array([b""]).take(pa.array(np.zeros(rows, dtype=np.int8)))
    table = pa.table({"image": images, "label": np.zeros(rows, dtype=np.int64)})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(Refused, match="times its size"):
        Parquet(str(tmp_path / "a.parquet"), num_classes=2).labels("train")


def test_a_parquet_file_alone_has_no_test_set_and_a_missing_one_is_refused(tmp_path):
    file = write_parquet(tmp_path / "a.parquet", [png(picture())] * 2, [0, 1])
    assert len(Parquet(str(file)).labels("test")) == 0 and len(Parquet(str(file)).read("test", 0, 5).index) == 0
    os.mkfifo(tmp_path / "pipe")
    for path in ("", str(tmp_path / "gone"), str(tmp_path), str(tmp_path / "pipe")):
        with pytest.raises(Refused, match="no file"):
            Parquet(path).labels("train")


# CIFAR


def test_cifar_reads_its_own_parquet_files_and_limits_training_alone(tmp_path, monkeypatch):
    pixels = [picture() for _ in range(5)]
    for split in ("train", "test"):
        write_parquet(tmp_path / f"cifar10-{split}.parquet", list(map(png, pixels)), [3, 1, 4, 1, 5])
    monkeypatch.setenv("RAY_DEFENSE_DATA", str(tmp_path))
    source = Cifar10(limit=2)
    assert source.labels("train").tolist() == [3, 1] and source.labels("test").tolist() == [3, 1, 4, 1, 5]
    assert source.read("train", 0, 99).index.tolist() == [0, 1]
    assert np.array_equal(source.read("test", 1, 99).images, np.stack(pixels[1:]))


def test_the_binary_archive_of_cifar10_is_downloaded_verified_and_read(tmp_path):
    members, images, labels = cifar10_members()
    digest = write_archive(tmp_path / "tiny10.tar.gz", {"../../evil": b"x", **members, "/etc/evil": b"x"})
    source = Cifar10(url=(tmp_path / "tiny10.tar.gz").as_uri(), md5=digest, limit=7)
    train, test = source.read("train", 0, 99), source.read("test", 1, 99)
    assert np.array_equal(train.images, images[:7]) and np.array_equal(source.labels("train"), labels[:7])
    assert np.array_equal(test.images, images[16:]) and np.array_equal(test.labels, labels[16:])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache", "tiny10.tar.gz", "tiny10.tar.gz"]
    (tmp_path / "tiny10.tar.gz").unlink()
    assert len(source.labels("test")) == 3


def test_cifar100_takes_the_fine_label_from_an_archive_in_its_root(tmp_path):
    image = picture()
    record = bytes([11, 87]) + image.transpose(2, 0, 1).tobytes()
    members = {"cifar-100-binary/train.bin": record * 2, "cifar-100-binary/test.bin": record}
    digest = write_archive(tmp_path / "cifar-100-binary.tar.gz", members)
    source = Cifar100(root=str(tmp_path), md5=digest)
    assert source.labels("train").tolist() == [87, 87]
    assert np.array_equal(source.read("test", 0, 1).images[0], image)


def test_a_damaged_archive_is_refused_before_use(tmp_path):
    members, _, _ = cifar10_members(1)
    digest = write_archive(tmp_path / "a.tar.gz", members)
    with pytest.raises(Refused, match="MD5"):
        Cifar10(url=(tmp_path / "a.tar.gz").as_uri(), md5="0" * 32).labels("train")
    assert not list((tmp_path / "cache").iterdir())
    (tmp_path / "cache" / "a.tar.gz").write_bytes(b"changed later")
    with pytest.raises(Refused, match="MD5"):
        Cifar10(url=(tmp_path / "a.tar.gz").as_uri(), md5=digest).labels("train")


@pytest.mark.parametrize("change", ["short", "missing", "link", "no archive"])
def test_an_archive_of_other_content_is_refused(tmp_path, change):
    members, _, _ = cifar10_members(1)
    file, name = tmp_path / "a.tar.gz", "cifar-10-batches-bin/test_batch.bin"
    data = members.pop(name)
    digest = write_archive(file, members | ({name: data[:-1]} if change == "short" else {}))
    if change == "link":
        with tarfile.open(file, "w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
        digest = hashlib.md5(file.read_bytes()).hexdigest()
    if change == "no archive":
        file.write_bytes(b"text")
        digest = hashlib.md5(b"text").hexdigest()
    with pytest.raises(Refused, match=r"a\.tar\.gz"):
        Cifar10(url=file.as_uri(), md5=digest).labels("train")


def test_without_a_network_the_remedy_is_named(tmp_path):
    with pytest.raises(Refused, match="--data-root"):
        Cifar10(url=(tmp_path / "gone.tar.gz").as_uri()).labels("train")
    with pytest.raises(Refused, match="--data-root"):
        Cifar10(root=str(tmp_path / "gone")).labels("train")


def test_the_classes_of_cifar100_are_a_hundred_in_alphabetical_order():
    assert len(CIFAR100_CLASSES) == 100 == len(set(CIFAR100_CLASSES))
    assert list(CIFAR100_CLASSES) == sorted(CIFAR100_CLASSES)


# labels


def test_labels_are_accepted_up_to_one_percent_invalid():
    labels = np.tile(np.arange(4), 25)
    labels[0] = -1
    assert check_labels(labels, 4) == ()
    labels[1] = 4
    with pytest.raises(Refused, match="2 of 100"):
        check_labels(labels, 4)


def test_empty_classes_and_classes_of_one_are_noted():
    assert check_labels(np.array([0, 0, 2, 4, 4]), 5) == (
        "classes without a sample: 1, 3",
        "classes with a single sample: 2",
    )


@pytest.mark.parametrize("labels", [[], [3, 3, 3], [-1, 0]])
def test_no_class_or_one_class_is_refused(labels):
    with pytest.raises(Refused):
        check_labels(np.array(labels, dtype=np.int64), 5)


# the real files, where they are


@pytest.mark.skipif(not (REAL / "cifar10-test.parquet").exists(), reason="the real data are not here")
def test_the_real_files_are_read_across_row_groups():
    cifar, tiny = Cifar10(root=str(REAL)), Parquet(str(REAL / "tinyimagenet-test.parquet"), size=64)
    assert len(cifar.labels("train")) == 50_000 and np.bincount(cifar.labels("test")).tolist() == [1000] * 10
    batch = cifar.read("train", 4_990, 5_010)
    assert batch.index.tolist() == list(range(4_990, 5_010)) and not batch.rejected
    assert np.array_equal(batch.labels, cifar.labels("train")[4_990:5_010])
    assert tiny.info().num_classes == 200 and tiny.read("train", 1_990, 9_999).images.shape == (10, 64, 64, 3)
