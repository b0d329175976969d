"""An audit with trusted images never flags them, and its defenses train on them as trusted."""

from pathlib import Path

import numpy as np
import pytest

import ray_defense
from ray_defense.exports.audit_folder import AuditFolder
from tests.path.test_audit import COMMON, NUM_PICTURES, STAMPED, write_folder

NO_PICTURES = np.array([], np.int64)


@pytest.mark.long
def test_trusted_images_are_trusted_ranked_last_and_exported_as_they_are(tmp_path):
    data = write_folder(tmp_path / "data", STAMPED)
    trusted = write_folder(tmp_path / "trusted", NO_PICTURES, num_pictures=120)
    audit = ray_defense.audit(data, out=tmp_path / "audit", trusted=trusted, **COMMON)
    assert audit.verdict == "evidence"
    assert "120 more images are trusted" in audit.choices["trusted"]
    table = audit.samples()
    given = table[table["file"].str.startswith("(trusted) ")]
    assert len(given) == 120
    assert (given["index"] >= NUM_PICTURES).all()
    assert set(given["split"]) == {"trusted"}
    # The same pictures lie in the data, but for the stamped ones.
    judged = table[table["index"] < NUM_PICTURES]
    numbers = judged["file"].map(lambda file: int(Path(file).stem))
    known = judged[numbers.isin(set(range(120)) - set(STAMPED.tolist()))]
    assert len(known) == 112
    assert set(known["split"]) == {"trusted"}
    assert audit.details["num_samples"] <= NUM_PICTURES - len(known)
    flagged = numbers[judged["split"] == "flagged"]
    assert flagged.isin(STAMPED.tolist()).mean() > 0.8
    summary = ray_defense.export(audit.out, "trusted", "folder", tmp_path / "exported")
    assert "original files" in str(summary)
    assert len(AuditFolder.open(audit.out).members("trusted")) >= 120


def test_trusted_images_of_other_classes_are_refused_before_any_work(tmp_path):
    data = write_folder(tmp_path / "data", NO_PICTURES, num_pictures=40)
    trusted = write_folder(tmp_path / "trusted", NO_PICTURES, num_pictures=20)
    (trusted / "class-1").rename(trusted / "ship")
    with pytest.raises(ray_defense.InputError, match="1 classes that the data has not .'ship'"):
        ray_defense.audit(data, out=tmp_path / "audit", trusted=trusted, **COMMON)
