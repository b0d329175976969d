"""An audit of a record of BackdoorBench says how many of the poisoned images it found."""

import numpy as np
import pytest

import ray_defense
from ray_defense.core.files import read_json
from ray_defense.data.sources.image_folder import ImageFolder
from tests.path.test_audit import COMMON, NUM_PICTURES, STAMPED, write_folder
from tests.support import blobs
from tests.support.backdoorbench_records import write_record


@pytest.mark.long
def test_the_truth_of_a_record_is_sealed_and_compared_with_what_is_flagged(tmp_path):
    clean = write_folder(tmp_path / "clean", np.array([], np.int64))
    source = ImageFolder(str(clean), size=16)
    labels = source.labels("train")
    stamped = blobs.stamp_corner(source.read("train", 0, NUM_PICTURES).images[STAMPED])
    pictures = dict(zip(STAMPED.tolist(), stamped, strict=True))
    before = dict(zip(STAMPED.tolist(), labels[STAMPED].tolist(), strict=True))
    record = write_record(tmp_path / "record", pictures, before)
    audit = ray_defense.audit(
        record,
        out=tmp_path / "audit",
        settings={"clean": str(clean), "target_label": "0"},
        **COMMON,
    )
    assert audit.verdict == "evidence"
    found = np.isin(audit.flagged, STAMPED).sum()
    assert found >= 0.9 * len(STAMPED)
    false = len(audit.flagged) - found
    said = audit.choices["truth"]
    assert said.startswith(f"{found} of the {len(STAMPED)} poisoned images are flagged, {false} of")
    assert all(file.startswith("row ") for file in audit.columns["file"])
    manifest = read_json(audit.out / "manifest.json")
    key = manifest["artifacts"]["ingest"].rsplit("/", 1)[-1]
    assert (audit.out / "store" / "truth" / key / "truth.sealed").is_file()
