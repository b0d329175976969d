"""A store at a URI: what is finished outlives the working directory; no message tells a secret."""

import pickle
import shutil
import traceback
from pathlib import Path

import numpy as np
import pytest

from ray_defense.core.errors import DamageError, InputError, RunError
from ray_defense.core.sealed import read_sealed_json, seal_json
from ray_defense.store import remote
from ray_defense.store.artifacts import Artifact, Store, store_directory
from ray_defense.store.record import RECORD
from ray_defense.store.remote import connect, working_directory
from ray_defense.store.truth import Truth, seal, unseal
from ray_defense.store.verify import verify_store
from tests.support.remote_stores import (
    SECRETS,
    URI,
    lose_working_directory,
    open_bucket_in,
    read_files,
)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands in for what `URI` names."""
    return open_bucket_in(tmp_path, monkeypatch)


def make_artifact(store: Store, text: str = "made") -> Artifact:
    """Returns an artifact of two files, made unless it is finished."""
    artifact = store.locate("probe", 1, {}, {})
    with store.claim([artifact]) as missing:
        if missing:
            (artifact.work / "rounds").mkdir()
            (artifact.work / "rounds" / "b.txt").write_text(text)
            (artifact.work / "a.txt").write_text(text)
            (artifact.scratch / "checkpoint.sealed").write_text("epoch 3")
            artifact.publish(1.0)
    return artifact


def has_secret(text: str) -> bool:
    return any(secret in text for secret in SECRETS)


def message_of(error: pytest.ExceptionInfo[Exception]) -> str:
    """Returns the message of an error, which must be one line without a secret."""
    message = str(error.value)
    assert "\n" not in message, message
    assert not has_secret(message), message
    return message


def test_a_finished_artifact_outlives_the_working_directory(bucket: Path):
    artifact = make_artifact(Store(URI))
    first = read_files(artifact.path)
    assert read_files(bucket / "probe" / artifact.key) == first
    assert "rounds/b.txt" in first
    lose_working_directory()
    again = make_artifact(Store(URI), text="made again")
    assert again == artifact
    assert read_files(again.path) == first


def test_an_unfinished_artifact_is_not_sent(bucket: Path):
    store = Store(URI)
    artifact = store.locate("probe", 1, {}, {})
    with pytest.raises(RuntimeError), store.claim([artifact]):
        (artifact.work / "a.txt").write_text("half")
        raise RuntimeError("killed")
    assert not read_files(bucket)


def test_what_was_finished_before_the_body_failed_is_sent(bucket: Path):
    store = Store(URI)
    first = store.locate("probe", 1, {}, {})
    second = store.locate("backdoored", 1, {}, {})
    with pytest.raises(RuntimeError, match="killed"), store.claim([first, second]):
        first.publish(1.0)
        raise RuntimeError("killed")
    assert [path.name for path in bucket.iterdir()] == ["probe"]
    assert store.finished_keys([first, second]) == {first.key}


def test_an_artifact_that_a_kill_kept_from_being_sent_is_sent_by_the_next_run(bucket: Path):
    artifact = make_artifact(Store(URI))
    shutil.rmtree(bucket)
    assert Store(URI).settled_keys([artifact]) == set()
    make_artifact(Store(URI))
    assert Store(URI).settled_keys([artifact]) == {artifact.key}
    assert read_files(bucket / "probe" / artifact.key) == read_files(artifact.path)


def test_what_is_there_is_not_sent_again(bucket: Path):
    artifact = make_artifact(Store(URI))
    file = bucket / "probe" / artifact.key / "a.txt"
    before = file.stat().st_mtime_ns
    make_artifact(Store(URI))
    assert file.stat().st_mtime_ns == before


def test_the_record_is_sent_last_and_without_it_the_rest_is_nothing(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
):
    make_folder_of = remote.RemoteFolder._make_folder_of

    def fail_at_the_record(folder: remote.RemoteFolder, name: str) -> None:
        if name.endswith(RECORD):
            raise OSError(5, "Input/output error")
        make_folder_of(folder, name)

    monkeypatch.setattr(remote.RemoteFolder, "_make_folder_of", fail_at_the_record)
    expected = f"cannot send probe/.*{RECORD} to s3://bucket/audits"
    with pytest.raises(RunError, match=expected) as error:
        make_artifact(Store(URI))
    assert message_of(error).endswith("run the same command again to resume")
    monkeypatch.undo()
    assert len(read_files(bucket)) == 3  # two files and the timing


def test_a_half_sent_artifact_is_made_again(bucket: Path):
    artifact = make_artifact(Store(URI))
    (bucket / "probe" / artifact.key / RECORD).unlink()
    lose_working_directory()
    store = Store(URI)
    assert store.finished_keys([artifact]) == set()
    make_artifact(store, text="made again")
    assert (artifact.path / "a.txt").read_text() == "made again"
    assert (bucket / "probe" / artifact.key / "a.txt").read_text() == "made again"


@pytest.mark.parametrize("name", ["a.txt", "rounds/b.txt"])
def test_a_changed_file_is_not_taken(bucket: Path, name: str):
    artifact = make_artifact(Store(URI))
    (bucket / "probe" / artifact.key / name).write_text("mad3")
    lose_working_directory()
    expected = f"{name} is damaged: remove .*probe/{artifact.key} and run again"
    with pytest.raises(RunError, match=expected) as error:
        make_artifact(Store(URI))
    assert message_of(error)
    assert not artifact.path.exists()


@pytest.mark.parametrize(
    ("change", "damage"),
    [
        ({"key": "0" * 16}, "is not the record of probe"),
        ({"files": {"../../escaped": "0"}}, "names '../../escaped', a file outside"),
        ({"files": {"/tmp/escaped": "0"}}, "names '/tmp/escaped', a file outside"),
        (None, "is damaged"),
    ],
)
def test_a_record_of_something_else_is_not_followed(
    bucket: Path, change: dict[str, object] | None, damage: str
):
    artifact = make_artifact(Store(URI))
    file = bucket / "probe" / artifact.key / RECORD
    if change is None:
        file.write_text("half")
    else:
        file.write_bytes(seal_json(read_sealed_json(file) | change))
    lose_working_directory()
    with pytest.raises(DamageError, match=f"{RECORD} {damage}") as error:
        make_artifact(Store(URI))
    assert message_of(error)
    assert not list(store_directory(URI).rglob("escaped"))


def test_a_plan_counts_what_only_the_bucket_holds_and_fetches_none_of_it(bucket: Path):
    artifact = make_artifact(Store(URI))
    lose_working_directory()
    store = Store(URI)
    other = store.locate("probe", 2, {}, {})
    assert store.finished_keys([artifact, other]) == {artifact.key}
    assert not list(store.root.iterdir())


def test_the_truth_comes_back_and_on_this_machine_its_owner_alone_reads_it(bucket: Path):
    index = np.arange(5)
    truth = Truth(index, index % 2 == 0, index == 1, true_label=index % 3)
    seal(Store(URI), "key", truth)
    sealed = store_directory(URI) / "truth" / "key" / "truth.sealed"
    assert sealed.stat().st_mode & 0o777 == 0o600
    assert sealed.parent.stat().st_mode & 0o777 == 0o700
    lose_working_directory()
    unsealed = unseal(Store(URI), "key")
    assert unsealed.poisoned.tolist() == [True, False, True, False, True]
    assert unsealed.true_label.tolist() == [0, 1, 2, 0, 1]
    with pytest.raises(InputError, match="no sealed truth for the dataset other"):
        unseal(Store(URI), "other")


def test_a_store_travels_to_another_process_with_its_bucket(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
):
    store = pickle.loads(pickle.dumps(Store(URI)))
    monkeypatch.setenv("RAY_DEFENSE_CACHE", "/nowhere")  # of a process elsewhere
    artifact = make_artifact(store)
    assert read_files(bucket / "probe" / artifact.key) == read_files(artifact.path)


def test_a_bucket_that_takes_no_file_is_refused_before_work(
    bucket: Path, monkeypatch: pytest.MonkeyPatch
):
    Store(URI).check_writable()
    assert not read_files(bucket)

    def deny(folder: remote.RemoteFolder, name: str) -> None:
        raise OSError("When completing: Access Denied for KEY with sec/ret\nsecond line")

    monkeypatch.setattr(remote.RemoteFolder, "_make_folder_of", deny)
    expected = "cannot write s3://bucket/audits/.writable: .*Access Denied"
    with pytest.raises(InputError, match=expected) as error:
        Store(URI).check_writable()
    assert message_of(error).endswith("check the URI, its options and the credentials")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        (
            "nope://KEY:sec%2Fret@bucket/audits",
            "store nope://bucket/audits is no URI that pyarrow takes",
        ),
        (URI + "&bogus=1", "store s3://bucket/audits is no URI that pyarrow takes"),
        ("s3://KEY:sec/ret@bucket/audits", "credentials in it are percent-encoded"),
        ("s3://KEY:sec?ret@bucket/audits", "store s3://bucket/audits is no URI"),
        ("mock:///", "names no folder"),
        ("s3:/bucket/audits", "without its two slashes"),
        ("file://machine/audits", "names another machine"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, reason: str
):
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=reason) as error:
        Store(uri)
    assert message_of(error)
    assert not has_secret("".join(traceback.format_exception(error.value)))
    assert not (tmp_path / "cache").exists()


def test_what_holds_a_connection_shows_no_secret(bucket: Path):
    assert not has_secret(repr(connect(URI)))


def test_a_file_uri_is_its_path(tmp_path: Path):
    path = tmp_path / "a b"
    store = Store(path.as_uri())
    assert store.root == path == store_directory(str(path))
    assert store.remote is None


def test_a_new_password_keeps_the_working_directory_and_another_location_has_another():
    directory = working_directory("s3://key:one@bucket/audits")
    assert directory == working_directory("s3://key:two@bucket/audits")
    directories = {directory}
    for uri in ("s3://key:one@bucket/b", "s3://key:one@other/audits", "abfs://key@bucket/audits"):
        directories.add(working_directory(uri))
    assert len(directories) == 4


def test_verify_reads_the_bucket_as_well_as_the_working_directory(bucket: Path):
    artifact = make_artifact(Store(URI))
    result = verify_store(URI)
    assert (result.num_artifacts, result.damages) == (2, [])  # here and there
    (bucket / "probe" / artifact.key / "a.txt").write_text("mad3")
    (damage,) = verify_store(URI).damages
    assert "a.txt is damaged" in damage
    assert not has_secret(damage)
    lose_working_directory()
    assert verify_store(URI).damages == [damage]
