"""Audits that the tests of this folder share; whoever changes one copies it first."""

import shutil
from pathlib import Path

import pytest

from ray_defense.data.sources.image_folder import ImageFolder
from tests.support.audits import SmallAudit, write_audit, write_photos


@pytest.fixture(scope="session")
def photos_audited(tmp_path_factory: pytest.TempPathFactory) -> SmallAudit:
    """An audit of class folders of PNGs, with one file that was rejected; it is never changed."""
    root = tmp_path_factory.mktemp("photos")
    data = write_photos(root / "data")
    (data / "train" / "dog" / "broken.png").write_text("no image")
    return write_audit(root / "audit", ImageFolder(str(data), size=16))


@pytest.fixture
def photos_audit(photos_audited: SmallAudit, tmp_path: Path) -> SmallAudit:
    """A copy of such an audit and of its data, in `audit` and `data` of the test's folder."""
    root = photos_audited.root.parent
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    audit = SmallAudit(tmp_path / "audit")
    data = str(tmp_path / "data")
    audit.change_manifest(data=data, source={**audit.manifest()["source"], "path": data})
    return audit
