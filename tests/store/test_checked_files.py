"""A file of a finished artifact is used as it was published, or not at all."""

import os
from pathlib import Path

import pytest

from ray_defense.core.errors import DamageError
from ray_defense.store import checked_files
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.checked_files import checked_file, read_checked_bytes, read_checked_json
from ray_defense.store.record import RECORD, TIMING
from ray_defense.store.written_files import note_written

READERS = (checked_file, read_checked_bytes, read_checked_json)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    store = Store(tmp_path / "s")
    artifact = store.locate("probe", 1, {}, {})
    with store.claim([artifact]):
        (artifact.work / "rounds").mkdir()
        (artifact.work / "a.json").write_text("[1]")
        (artifact.work / "rounds" / "b.json").write_text("[2]")
        artifact.publish(0.0)
    return artifact


def flip(path: Path, position: int = 0) -> None:
    """Flips a bit and keeps size and time of a file, as a failing disk does."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("name", ["a.json", "rounds/b.json"])
@pytest.mark.parametrize("reader", READERS)
def test_a_flipped_bit_is_noticed_also_after_the_file_was_read(
    artifact: Artifact, name: str, reader
):
    path = artifact.path / name
    reader(path)
    flip(path)
    expected = f"{path} is damaged: remove {artifact.path} and run again"
    with pytest.raises(DamageError) as raised:
        reader(path)
    assert str(raised.value) == expected
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_or_added_file_a_link_and_a_fifo_are_refused(artifact: Artifact, reader):
    path = artifact.path / "a.json"
    path.rename(artifact.path / "c.json")
    with pytest.raises(DamageError, match=r"a\.json is missing"):
        reader(path)
    with pytest.raises(DamageError, match=r"c\.json is not in the record"):
        reader(artifact.path / "c.json")
    path.symlink_to("c.json")
    with pytest.raises(DamageError, match=r"a\.json is no regular file"):
        reader(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DamageError, match=r"a\.json is no regular file"):
        reader(path)


@pytest.mark.parametrize("name", [RECORD, TIMING])
def test_a_damaged_record_is_noticed(artifact: Artifact, name: str):
    assert artifact.seconds == 0.0
    assert list(artifact.hashes) == ["a.json", "rounds/b.json"]
    flip(artifact.path / name, position=-3)
    with pytest.raises(DamageError, match=f"{name} is damaged: remove {artifact.path}"):
        _ = artifact.hashes if name == RECORD else artifact.seconds


def test_a_file_is_read_through_once_while_it_does_not_change(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
):
    hashed = []

    def count(path: Path) -> str:
        hashed.append(path)
        return artifact.hashes["a.json"]

    monkeypatch.setattr(checked_files, "file_hash", count)
    for _ in range(3):
        checked_file(artifact.path / "a.json")
    assert len(hashed) == 1
    os.utime(artifact.path / "a.json")
    checked_file(artifact.path / "a.json")
    assert len(hashed) == 2


def test_a_file_that_changes_between_writing_and_publishing_is_not_published(tmp_path: Path):
    store = Store(tmp_path)
    artifact = store.locate("ingest", 1, {}, {})
    with store.claim([artifact]):
        (artifact.work / "rounds").mkdir()
        path = artifact.work / "rounds" / "shard"
        path.write_bytes(b"content")
        note_written(artifact.work, "rounds/shard")
        flip(path)
        expected = f"has changed since it was written: remove {artifact.work} and run again"
        with pytest.raises(DamageError, match=expected):
            artifact.publish(0.0)
        flip(path)
        artifact.publish(0.0)
    assert list(artifact.hashes) == ["rounds/shard"]


@pytest.mark.parametrize("made", ["directory", "file", "link"])
def test_what_stands_in_the_place_of_an_artifact_is_named_before_any_work(
    tmp_path: Path, made: str
):
    """Finding: a directory without its record ended in a traceback after the whole stage."""
    store = Store(tmp_path)
    artifact = store.locate("probe", 1, {}, {})
    artifact.path.parent.mkdir()
    if made == "directory":
        artifact.path.mkdir()
    elif made == "file":
        artifact.path.write_text("x")
    else:
        artifact.path.symlink_to("nowhere")
    message = f"{artifact.path} has no {RECORD}: remove {artifact.path} and run again"
    with pytest.raises(DamageError) as raised, store.claim([artifact]):
        pytest.fail("the work has begun")
    assert str(raised.value) == message


def test_a_link_to_nowhere_in_the_place_of_a_stage_is_named(tmp_path: Path):
    store = Store(tmp_path)
    (tmp_path / "probe").symlink_to("nowhere")
    artifact = store.locate("probe", 1, {}, {})
    with pytest.raises(DamageError, match="probe is no folder"), store.claim([artifact]):
        pytest.fail("the work has begun")


def test_hidden_files_and_folders_of_others_are_no_part_of_an_artifact(tmp_path: Path):
    store = Store(tmp_path)
    artifact = store.locate("probe", 1, {}, {})
    with store.claim([artifact]):
        (artifact.work / ".snapshot").mkdir()
        (artifact.work / ".snapshot" / "a").write_text("x")
        (artifact.work / ".nfs0001").write_text("x")
        (artifact.work / "a.json").write_text("[]")
        artifact.publish(0.0)
    assert list(artifact.hashes) == ["a.json"]


def test_a_link_in_the_work_is_not_published(tmp_path: Path):
    store = Store(tmp_path / "s")
    (tmp_path / "secret").write_text("x")
    artifact = store.locate("probe", 1, {}, {})
    with store.claim([artifact]):
        (artifact.work / "a.json").symlink_to(tmp_path / "secret")
        with pytest.raises(DamageError, match=r"a\.json is a link"):
            artifact.publish(0.0)


def test_whether_an_artifact_has_a_file_is_what_its_record_says(artifact: Artifact):
    assert artifact.has_file("rounds/b.json")
    assert not artifact.has_file("verdict.json")
    (artifact.path / "a.json").unlink()
    (artifact.path / "verdict.json").write_text("{}")
    assert artifact.has_file("a.json")
    assert not artifact.has_file("verdict.json")
