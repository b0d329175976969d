"""NumPy files as a source: every image becomes 8-bit RGB, and a false size is refused."""

import io
import os
import random
import zipfile

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources import array_files
from ray_defense.data.sources.arrays import Arrays

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 28, 28, 3), np.uint8)
LABELS = np.array([0, 1, 2, 1, 0, 2])


def save(path, compressed=False, **arrays):
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return str(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_file_of_keras_is_read_with_its_test_set(tmp_path, compressed):
    gray = PIXELS[:, :, :, 0]
    file = save(
        tmp_path / "mnist.npz",
        compressed,
        x_train=gray,
        y_train=LABELS.astype(np.uint8),
        x_test=gray[:2],
        y_test=LABELS[:2],
    )
    source = Arrays(file, size=28)
    batch = source.read("train", 1, 5)
    assert batch.index.tolist() == [1, 2, 3, 4]
    assert np.array_equal(batch.images, np.repeat(gray[1:5, :, :, None], 3, axis=3))
    assert source.labels("train").tolist() == LABELS.tolist()
    assert source.read("test", 0, 9).labels.tolist() == [0, 1]
    assert Arrays(file).read("train", 0, 1).images.shape == (1, 32, 32, 3)


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        PIXELS.transpose(0, 3, 1, 2),
        np.asfortranarray(PIXELS),
        PIXELS.astype(np.int64),
        PIXELS.astype(">f4"),
        PIXELS / 255.0,
        (PIXELS / 255.0).astype(np.float32).transpose(0, 3, 1, 2),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_kind_of_array_gives_the_same_pixels(tmp_path, images, compressed):
    file = save(tmp_path / "a.npz", compressed, images=images, labels=LABELS)
    assert np.array_equal(Arrays(file, size=28).read("train", 0, 6).images, PIXELS)


@pytest.mark.parametrize(
    ("given", "labels", "names"),
    [
        (LABELS[:, None], LABELS, ("0", "1", "2")),
        (LABELS + 5.0, LABELS, ("5", "6", "7")),
        (np.array(["b", "a", "c", "a", "b", "c"]), [1, 0, 2, 0, 1, 2], ("a", "b", "c")),
        (np.array([b"b", b"a", b"c", b"a", b"b", b""]), [1, 0, 2, 0, 1, -1], ("a", "b", "c")),
        (np.array([0, 1, np.nan, 1.5, -1, 1]), [0, 1, -1, -1, -1, 1], ("0", "1")),
    ],
)
def test_labels_of_every_kind_are_classes(tmp_path, given, labels, names):
    source = Arrays(save(tmp_path / "a.npz", images=PIXELS, labels=given), size=28)
    assert source.labels("train").tolist() == list(labels)
    assert source.info().class_names == names


def test_a_folder_of_npy_files_is_read(tmp_path):
    for name, array in (("train_images", PIXELS), ("train_labels", LABELS)):
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "val_images.npy", PIXELS[:1])
    np.save(tmp_path / "val_labels.npy", LABELS[:1])
    np.save(tmp_path / "weights.npy", LABELS)
    source = Arrays(str(tmp_path), size=28)
    assert np.array_equal(source.read("train", 2, 4).images, PIXELS[2:4])
    assert source.labels("test").tolist() == [0]
    assert source.describe().left_out == ("These arrays are not read: 'weights'.",)


def test_arrays_of_other_names_are_named_by_the_user(tmp_path):
    file = save(tmp_path / "a.npz", pics=PIXELS, kinds=LABELS)
    with pytest.raises(InputError, match="set image_array to one of pics, kinds"):
        Arrays(file).info()
    source = Arrays(file, image_array="pics", label_array="kinds", size=28)
    assert len(source.read("train", 0, 9).index) == 6


def test_single_images_with_other_values_are_rejected(tmp_path):
    images = np.repeat(PIXELS / 255.0, 20, axis=0)
    images[3, 0, 0, 0] = np.nan
    images[5, 0, 0, 0] = 7
    images[7, 0, 0, 0] = -np.inf
    source = Arrays(save(tmp_path / "a.npz", images=images, labels=np.repeat(LABELS, 20)), size=28)
    batch = source.read("train", 0, 200)
    assert [sample.index for sample in batch.rejected] == [3, 5, 7]
    assert np.array_equal(batch.images[0], PIXELS[0])


def test_a_signaling_nan_is_rejected_without_a_warning(tmp_path):
    images = np.repeat(PIXELS / 255.0, 20, axis=0).astype(np.float32)
    images.view(np.uint32)[3, 0, 0, 0] = 0x7F800001
    source = Arrays(save(tmp_path / "a.npz", images=images, labels=np.repeat(LABELS, 20)), size=28)
    assert [sample.index for sample in source.read("train", 0, 200).rejected] == [3]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": PIXELS.reshape(6, -1), "labels": LABELS}, "reshape it"),
        ({"images": PIXELS[:, :4], "labels": LABELS}, "of 8 to"),
        ({"images": PIXELS, "labels": LABELS[:3]}, "save one label for each"),
        ({"images": PIXELS, "labels": np.eye(3)[LABELS]}, "argmax"),
        ({"images": PIXELS - 128.0, "labels": LABELS}, "undo the normalization"),
        ({"images": PIXELS.astype("U3"), "labels": LABELS}, "holds texts"),
        ({"images": PIXELS}, "set label_array to one of images"),
        ({"images": PIXELS.astype(object), "labels": LABELS}, "never opened"),
        ({"images": np.zeros(6, "i4,f4"), "labels": LABELS}, "not numbers or texts"),
    ],
)
def test_what_holds_no_images_is_refused(tmp_path, arrays, message):
    """Input row 20."""
    with pytest.raises(InputError, match=message):
        Arrays(save(tmp_path / "a.npz", **arrays)).info()


def test_a_header_that_says_more_than_there_is_is_refused(tmp_path):
    file = io.BytesIO()
    np.save(file, PIXELS)
    data = file.getvalue().replace(b"(6, 28,", b"(9, 28,")
    (tmp_path / "images.npy").write_bytes(data)
    np.save(tmp_path / "labels.npy", LABELS)
    with pytest.raises(InputError, match="does not have the"):
        Arrays(str(tmp_path)).info()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", data)
    with pytest.raises(InputError, match="does not have the"):
        Arrays(str(tmp_path / "a.npz")).info()


def test_a_compressed_array_beyond_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(array_files, "MAX_WHOLE_BYTES", 10_000)
    file = save(tmp_path / "a.npz", compressed=True, images=PIXELS, labels=LABELS)
    with pytest.raises(InputError, match="np.savez, which does not compress"):
        Arrays(file).read("train", 0, 1)


@pytest.mark.parametrize("compressed", [False, True])
def test_mutants_of_a_file_are_refused_or_read_whole(tmp_path, compressed):
    small = PIXELS[:, :8, :8]
    file = save(tmp_path / "a.npz", compressed, images=small, labels=LABELS)
    data = (tmp_path / "a.npz").read_bytes()
    rng = random.Random(0)
    num_refused = 0
    for _ in range(400):
        mutant = bytearray(data)
        for _ in range(rng.choice((1, 2, 10))):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        (tmp_path / "a.npz").write_bytes(mutant)
        source = Arrays(file, size=8, num_classes=3)
        try:
            batch = source.read("train", 0, 6)
        except InputError:
            num_refused += 1
        else:
            assert len(batch.index) + len(batch.rejected) == 6
    assert num_refused > 20


def test_a_path_to_nothing_is_refused(tmp_path):
    for path in ("", str(tmp_path / "gone.npz")):
        with pytest.raises(InputError, match="no file"):
            Arrays(path).info()
    (tmp_path / "a.npy").write_bytes(b"garbage")
    with pytest.raises(InputError, match="no header of an array"):
        Arrays(str(tmp_path / "a.npy")).info()


@pytest.mark.parametrize("order", ["<", ">"])
def test_names_that_are_no_unicode_are_refused(tmp_path, order):
    names = np.array(["cat", "dog"] * 3).astype(f"{order}U3")
    data = names.view(f"{order}u4").copy()
    data[0] = 0x110000  # a text of Python that no codec takes
    np.save(tmp_path / "images.npy", PIXELS)
    np.save(tmp_path / "labels.npy", data.view(names.dtype))
    with pytest.raises(InputError, match="no Unicode"):
        Arrays(str(tmp_path)).info()


@pytest.mark.parametrize("kind", ["npz", "compressed npz", "folder"])
@pytest.mark.parametrize("which", ["images", "labels"])
def test_row_input_20_arrays_of_objects_are_refused_and_never_opened(tmp_path, kind, which):
    given = {"images": PIXELS, "labels": LABELS}
    mark = tmp_path / "mark"
    given[which] = np.array([Payload(mark)] * 6, object)
    root = tmp_path / "data"
    root.mkdir()
    if kind == "folder":
        for name, values in given.items():
            np.save(root / f"{name}.npy", values)
        path = str(root)
    else:
        path = save(root / "a.npz", kind == "compressed npz", **given)
    with pytest.raises(InputError, match="never opened"):
        Arrays(path).info()
    assert not mark.exists()


class Payload:
    """Touches a file when a pickle of it is opened."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mknod, (str(self.mark),)
