"""Data in memory become a source that another process can read, pixel for pixel."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from ray_defense.core.errors import InputError, RunError
from ray_defense.data.sources.memory import source_of
from tests.support.encoded_images import encode_image

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
LABELS = [0, 1, 2, 1, 0, 2]


class Pairs(torch.utils.data.Dataset):
    """A dataset of torch, of pairs that a function makes of pixels."""

    def __init__(self, convert, labels=LABELS):
        self.convert = convert
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.convert(PIXELS[index]), self.labels[index]


class Features:
    """What a ClassLabel of Hugging Face has."""

    names = ["ant", "bee", "cat"]


class Rows:
    """What a datasets.Dataset has."""

    column_names = ["id", "img", "labels"]
    features = {"labels": Features()}

    def __len__(self):
        return len(LABELS)

    def __getitem__(self, index):
        picture = Image.fromarray(PIXELS[index])
        return {"id": "x", "img": picture, "labels": LABELS[index]}


def check_pixels(source) -> None:
    batch = pickle.loads(pickle.dumps(source)).read("train", 0, 9)
    assert np.array_equal(batch.images, PIXELS)
    assert batch.labels.tolist() == LABELS


def test_arrays_and_tensors_are_read(tmp_path):
    check_pixels(source_of((PIXELS, LABELS), tmp_path / "a"))
    chw = torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255
    check_pixels(source_of((chw, torch.tensor(LABELS)), tmp_path / "b"))
    data = {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS[:2], "y_test": LABELS[:2]}
    source = source_of(data, tmp_path / "c")
    check_pixels(source)
    assert source.labels("test").tolist() == [0, 1]


@pytest.mark.parametrize(
    "convert",
    [
        Image.fromarray,
        np.asarray,
        encode_image,
        lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1) / 255,
        lambda pixels: {"bytes": encode_image(pixels), "path": None},
    ],
)
def test_a_dataset_of_torch_is_read(tmp_path, convert):
    check_pixels(source_of(Pairs(convert), tmp_path))


def test_classes_and_names_are_kept(tmp_path):
    dataset = Pairs(np.asarray)
    dataset.classes = ["ant", "bee", "cat"]
    assert source_of(dataset, tmp_path / "a").info().class_names == ("ant", "bee", "cat")
    named = Pairs(np.asarray, ["x", "y", "x"])
    assert source_of(named, tmp_path / "b").info().class_names == ("x", "y")
    tensors = Pairs(np.asarray, [torch.tensor(1), np.int64(0), True])
    assert source_of(tensors, tmp_path / "c").labels("train").tolist() == [1, 0, 1]


def test_a_dataset_of_hugging_face_is_read_by_its_columns(tmp_path):
    source = source_of({"train": Rows(), "validation": Rows()}, tmp_path)
    check_pixels(source)
    assert source.info().class_names == ("ant", "bee", "cat")
    assert len(source.labels("test")) == 6
    check_pixels(source_of(Rows(), tmp_path))
    assert len(source.labels("test")) == 0


@pytest.mark.parametrize("data", [(PIXELS, LABELS), Pairs(np.asarray)])
def test_the_same_data_are_not_written_again_and_leave_nothing_behind(tmp_path, data):
    first = source_of(data, tmp_path)
    signature = first.signature("train")
    assert source_of(data, tmp_path).signature("train") == signature
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (7, "data of type int are not read: give"),
        ({"test": Rows()}, "has no training set"),
        ((PIXELS.astype(object), LABELS), "holds objects"),
        (Pairs(lambda pixels: "x.png"), "image 0 is of type str"),
        (Pairs(lambda pixels: pixels - 300.0), "image 0 has values from"),
        (Pairs(np.asarray, [1.5, 2]), "label 0 is 1.5"),
        (Pairs(np.asarray, [1, "x"]), "labels of one kind"),
        (["a", "b", "c"], "item 0 of the dataset is of type str"),
    ],
)
def test_data_of_another_kind_are_refused(tmp_path, data, message):
    with pytest.raises(InputError, match=message):
        source_of(data, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="name another folder"):
        source_of((PIXELS, LABELS), tmp_path / "file")
