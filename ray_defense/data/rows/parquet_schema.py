"""What the schema of a Parquet file says: the columns of images and labels, and the classes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ray_defense.core.errors import InputError
from ray_defense.data.limits import MAX_CLASS_NAMES_BYTES, MAX_CLASSES
from ray_defense.data.rows.column_names import (
    IMAGE_NAMES,
    LABEL_NAMES,
    PATH_NAMES,
    choose_column,
)
from ray_defense.data.text import class_name, shortened

_TEXTS = (pa.string(), pa.large_string(), pa.string_view())
_BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())
# Of the column of images: where it holds no bytes, it names files.
_IMAGE_NAMES = tuple(dict.fromkeys((*IMAGE_NAMES, *PATH_NAMES)))


@dataclass(frozen=True)
class ColumnNames:
    """The columns that the user names; "" for the first of the usual names."""

    image: str = ""
    label: str = ""


@dataclass(frozen=True)
class ImageColumns:
    """The columns of a file that are read."""

    image: str
    label: str
    bytes_path: str | None  # the column of the bytes: `image` or `image.bytes`; None: paths alone
    origin_path: str | None  # where each image came from or lies, `image.path` or `image`
    has_text_labels: bool


def choose_columns(file: Path, schema: pa.Schema, names: ColumnNames) -> ImageColumns:
    """Returns the columns of the images and of the labels.

    Raises:
        InputError: If there are none, or they are of other types.
    """
    shown = f"the file {str(file)!r}"
    image = choose_column(
        schema.names, names.image, _IMAGE_NAMES, option="image_column", origin=shown
    )
    label = choose_column(
        schema.names, names.label, LABEL_NAMES, option="label_column", origin=shown
    )
    bytes_path, origin_path = _image_paths(image, schema.field(image).type)
    label_type = _plain_type(schema.field(label).type)
    is_number = pa.types.is_integer(label_type) or pa.types.is_floating(label_type)
    has_images = bytes_path is not None or origin_path is not None
    if not has_images or not (is_number or label_type in _TEXTS):
        raise InputError(
            f"{str(file)!r} must have the columns {shortened(image, 40)} (encoded images as bytes, "
            "a struct with bytes or a path, or paths of files) and "
            f"{shortened(label, 40)} (a number or a name), not "
            f"{_described(schema.names, schema.types)}: set image_column and label_column, or "
            "write encoded images (PNG, JPEG) as bytes"
        )
    return ImageColumns(
        image, label, bytes_path, origin_path=origin_path, has_text_labels=label_type in _TEXTS
    )


def _image_paths(image: str, kind: pa.DataType) -> tuple[str | None, str | None]:
    """Returns the columns of the bytes and of the paths of images; None where there is none."""
    if not pa.types.is_struct(kind):
        if kind in _BYTES:
            return image, None
        return None, image if _plain_type(kind) in _TEXTS else None
    bytes_path = None
    origin_path = None
    if kind.get_field_index("path") >= 0 and kind.field("path").type in _TEXTS:
        origin_path = f"{image}.path"
    if kind.get_field_index("bytes") >= 0:
        if kind.field("bytes").type not in _BYTES:
            return None, None
        bytes_path = f"{image}.bytes"
    return bytes_path, origin_path


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type of the values of a column, whether or not it repeats them by number."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def class_names_of(file: Path, schema: pa.Schema, label: str) -> tuple[str, ...]:
    """Returns the class names in the metadata of a schema, or () if it has none.

    They stand under `classes` (a JSON list, or separated by commas), or in what Hugging Face
    writes under `huggingface`: the names of the feature `ClassLabel`.

    Raises:
        InputError: If they name more classes than there can be.
        ValueError, RecursionError: If the metadata are damaged.
    """
    metadata = schema.metadata or {}
    names = _parse_class_names(_checked_text(file, metadata.get(b"classes", b"")))
    if not names:
        names = _feature_names(_checked_text(file, metadata.get(b"huggingface", b"")), label)
    if len(names) > MAX_CLASSES:
        raise InputError(
            f"{str(file)!r} names {len(names)} classes, more than {MAX_CLASSES}: "
            "write the file again without them"
        )
    return tuple(class_name(name) for name in names)


def _checked_text(file: Path, data: bytes) -> str:
    if len(data) > MAX_CLASS_NAMES_BYTES:
        raise InputError(
            f"the class names of {str(file)!r} take {len(data)} bytes, more than "
            f"{MAX_CLASS_NAMES_BYTES}: write the file again without them"
        )
    return data.decode()


def _parse_class_names(text: str) -> list[object]:
    if text.startswith("["):
        names: list[object] = json.loads(text)
        return names
    if not text:
        return []
    return list(text.split(","))


def _feature_names(text: str, label: str) -> list[object]:
    """Returns the names of the classes in Hugging Face's description of a dataset, or []."""
    value: object = json.loads(text) if text else None
    for key in ("info", "features", label, "names"):
        if not isinstance(value, dict):
            return []
        value = value.get(key)
    return value if isinstance(value, list) else []


def _described(names: Sequence[str], types: Sequence[pa.DataType]) -> str:
    columns = []
    for name, kind in zip(names[:20], types[:20], strict=True):
        columns.append(f"{shortened(name, 40)}: {shortened(kind, 40)}")
    return shortened(", ".join(columns), 1000)
