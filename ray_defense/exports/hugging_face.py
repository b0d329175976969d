"""A dataset folder as Hugging Face's hub lays it out: Parquet files below `data/`, and a card."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from ray_defense.exports.protocol import ExportedSample, ExportRequest, PictureKind

_FILE_BYTES = 2**29  # of images in a file, the last image apart


class HuggingFace:
    """`data/train-00000-of-00002.parquet`, ..., and `README.md` with the schema."""

    name: ClassVar[str] = "huggingface"
    pictures: ClassVar[PictureKind] = "file"
    is_list: ClassVar[bool] = False

    def write(
        self, folder: Path, samples: Iterable[ExportedSample], request: ExportRequest
    ) -> Iterator[tuple[str, ExportedSample]]:
        from ray_defense.exports.image_rows import write_image_rows

        data = folder / "data"
        data.mkdir()
        rest = iter(samples)
        parts: list[Path] = []
        for first in rest:  # of a file
            part = data / f"part-{len(parts):05d}"
            chosen = _up_to_size(itertools.chain((first,), rest))
            for row, sample in enumerate(write_image_rows(part, chosen, request.class_names)):
                yield f"data/train-{len(parts):05d} row {row}", sample
            parts.append(part)
        for number, part in enumerate(parts):
            part.rename(data / f"train-{number:05d}-of-{len(parts):05d}.parquet")
        (folder / "README.md").write_text(_card(request), encoding="utf-8")

    def notes(self, request: ExportRequest) -> Sequence[str]:
        return (f"datasets.load_dataset({str(request.out)!r}) reads it",)


def _up_to_size(samples: Iterator[ExportedSample]) -> Iterator[ExportedSample]:
    num_bytes = 0
    for sample in samples:
        yield sample
        num_bytes += len(sample.image or b"")
        if num_bytes >= _FILE_BYTES:
            return


def _card(request: ExportRequest) -> str:
    """Returns the card of the dataset; JSON strings are YAML strings too."""
    lines = ["---", "dataset_info:", "  features:"]
    lines += ["  - name: image", "    dtype: image"]
    lines += ["  - name: label", "    dtype:", "      class_label:", "        names:"]
    for label, name in enumerate(request.class_names):
        lines.append(f"          '{label}': {json.dumps(name)}")
    lines += ["  - name: index", "    dtype: int64"]
    lines += ["  splits:", "  - name: train", f"    num_examples: {request.num_samples}"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    lines += ["  - split: train", "    path: data/train-*", "---", ""]
    lines.append(f"{request.title[0].upper()}{request.title[1:]}, written by ray-defense export.")
    lines.append("`index` is the position of a sample in the training set that was audited; see")
    lines += ["`export.csv` for the file that each row was.", ""]
    return "\n".join(lines)
