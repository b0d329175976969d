"""The cap on the pixels of an image: a setting of every source of image files."""

import io
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ray_defense.core.errors import InputError
from ray_defense.data.sources.recognize import recognize

SIDES = (20, 20, 20, 40)  # the last image has more than 1,000 pixels


def png(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), side, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(params=["folder", "table", "parquet", "tar"])
def data(request, tmp_path):
    images = [(f"{'ab'[number % 2]}/{number}.png", png(side)) for number, side in enumerate(SIDES)]
    root = tmp_path / "data"
    root.mkdir()
    if request.param == "parquet":
        columns = {"image": [image for _, image in images], "label": [0, 1, 0, 1]}
        pq.write_table(pa.table(columns), root / "train.parquet")
        return root
    if request.param == "tar":
        with tarfile.open(tmp_path / "data.tar", "w") as archive:
            for path, image in images:
                member = tarfile.TarInfo(path)
                member.size = len(image)
                archive.addfile(member, io.BytesIO(image))
        return tmp_path / "data.tar"
    for path, image in images:
        flat = path.replace("/", "_") if request.param == "table" else path
        (root / flat).parent.mkdir(exist_ok=True)
        (root / flat).write_bytes(image)
    if request.param == "table":
        rows = [f"{path.replace('/', '_')},{path[0]}" for path, _ in images]
        (root / "labels.csv").write_text("path,label\n" + "\n".join(rows))
    return root


def test_an_image_with_more_pixels_is_rejected_and_the_cap_is_a_setting(data):
    source = recognize(str(data), {}).source
    assert len(source.read("train", 0, 4).images) == 4
    capped = recognize(str(data), {"max_pixels": 1000}).source
    batch = capped.read("train", 0, 4)
    assert len(batch.images) == 3
    (reason,) = [rejected.reason for rejected in batch.rejected]
    assert "40x40 is more than 1000 pixels (max_pixels)" in reason


def test_a_cap_that_means_nothing_is_refused(data):
    with pytest.raises(InputError, match="max_pixels"):
        recognize(str(data), {"max_pixels": 3})
