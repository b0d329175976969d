"""Records which stages a test publishes."""

import pytest

from ray_defense.store.artifacts import Artifact


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
