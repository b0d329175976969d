"""Label Studio's import format: tasks as JSON, the labels as received as predictions."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from ray_defense.exports.numbered_images import write_numbered_images
from ray_defense.exports.protocol import ExportedSample, ExportRequest, PictureKind

TASKS = "tasks.json"
LABELING = "labeling_config.xml"
_IMAGES = "images"


class LabelStudio:
    """`images/`, `tasks.json` for its import, and `labeling_config.xml` for its project."""

    name: ClassVar[str] = "label-studio"
    pictures: ClassVar[PictureKind] = "file"
    is_list: ClassVar[bool] = False

    def write(
        self, folder: Path, samples: Iterable[ExportedSample], request: ExportRequest
    ) -> Iterator[tuple[str, ExportedSample]]:
        with open(folder / TASKS, "x", encoding="utf-8") as file:
            separator = "[\n"
            for name, sample in write_numbered_images(folder / _IMAGES, samples):
                path = quote(f"{request.out.name}/{_IMAGES}/{name}")
                task = json.dumps(_task(sample, f"/data/local-files/?d={path}"), sort_keys=True)
                file.write(separator + task)
                separator = ",\n"
                yield f"{_IMAGES}/{name}", sample
            file.write("\n]\n")
        (folder / LABELING).write_text(_labeling(request.class_names), encoding="utf-8")

    def notes(self, request: ExportRequest) -> Sequence[str]:
        return (
            "start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={request.out.parent}, paste {LABELING} as "
            f"the labeling interface, add {request.out} as local storage, and import {TASKS}",
        )


def _task(sample: ExportedSample, image: str) -> dict[str, Any]:
    result = {
        "from_name": "class",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [sample.class_name]},
    }
    data = {
        "image": image,
        "file": sample.file,
        "index": sample.index,
        "label": sample.label,
        "split": sample.part,
    }
    return {"data": data, "predictions": [{"model_version": "as received", "result": [result]}]}


def _labeling(class_names: Sequence[str]) -> str:
    lines = ["<View>", '  <Image name="image" value="$image"/>']
    lines.append('  <Choices name="class" toName="image" choice="single">')
    for name in class_names:
        printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
        lines.append(f"    <Choice value={quoteattr(printable)}/>")
    lines.extend(["  </Choices>", "</View>", ""])
    return "\n".join(lines)
