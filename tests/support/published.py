"""Records which stages a test publishes, and changes what is published."""

import hashlib

import pytest

from ray_defense.core.files import write_bytes
from ray_defense.store.artifacts import Artifact
from ray_defense.store.record import read_record, write_record


def record_published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns a list to which the stage of every artifact is added as it is published."""
    stages: list[str] = []
    publish = Artifact.publish

    def record_and_publish(
        artifact: Artifact, seconds: float, checkpoint_bytes: int | None = None
    ) -> None:
        stages.append(artifact.stage)
        publish(artifact, seconds, checkpoint_bytes)

    monkeypatch.setattr(Artifact, "publish", record_and_publish)
    return stages


def replace_published(artifact: Artifact, name: str, data: bytes) -> None:
    """Puts other bytes in the place of a file of a finished artifact, and into its record."""
    record = read_record(artifact.path)
    files = record.pop("files")
    files[name] = hashlib.sha256(data).hexdigest()
    write_bytes(artifact.path / name, data)
    write_record(artifact.path, record, files)
