"""A store at a URI: what is finished outlives the working directory, half of it is nothing, and no message tells a secret."""

import json
import pickle
import shutil
import traceback
from pathlib import Path

import numpy as np
import pytest
from pyarrow.fs import FileSystem, LocalFileSystem, SubTreeFileSystem

from ray_defense.core.errors import Failed, Refused
from ray_defense.store import remote
from ray_defense.store.artifacts import RECORD, Artifact, Store, directory
from ray_defense.store.remote import connect, working_directory
from ray_defense.store.truth import Truth, seal, unseal

URI = "s3://KEY:sec%2Fret@bucket/audits?scheme=http"
SECRETS = ("KEY", "sec/ret", "sec%2Fret")


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    """A folder that stands in for what `URI` names, and a cache of this test's own."""
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bucket").mkdir()
    far = SubTreeFileSystem(str(tmp_path / "bucket"), LocalFileSystem())
    monkeypatch.setattr(remote, "_open", lambda uri: (far, "audits"))
    return tmp_path / "bucket" / "audits"


def lose_working_directory() -> None:
    shutil.rmtree(directory(URI))


def make(store: Store, text: str = "made") -> Artifact:
    artifact = store.place("probe", 1, {}, {})
    with store.claim(artifact) as missing:
        if missing:
            (artifact.work / "rounds").mkdir()
            (artifact.work / "rounds" / "b.txt").write_text(text)
            (artifact.work / "a.txt").write_text(text)
            (artifact.scratch / "checkpoint.pt").write_text("epoch 3")
            artifact.publish(1.0)
    return artifact


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text and not any(secret in text for secret in SECRETS), text
    return text


def test_a_finished_artifact_outlives_the_working_directory(bucket):
    made = make(Store(URI))
    first = files(made.path)
    assert files(bucket / "probe" / made.key) == first and "rounds/b.txt" in first
    lose_working_directory()
    again = make(Store(URI), text="made again")
    assert again == made and files(again.path) == first


def test_an_unfinished_artifact_is_not_sent(bucket):
    store = Store(URI)
    artifact = store.place("probe", 1, {}, {})
    with pytest.raises(RuntimeError), store.claim(artifact):
        (artifact.work / "a.txt").write_text("half")
        raise RuntimeError("killed")
    assert not files(bucket)


def test_what_was_finished_before_the_body_failed_is_sent(bucket):
    store = Store(URI)
    first, second = (store.place(name, 1, {}, {}) for name in ("probe", "backdoored"))
    with pytest.raises(RuntimeError, match="killed"), store.claim(first, second):
        first.publish(1.0)
        raise RuntimeError("killed")
    assert [path.name for path in bucket.iterdir()] == ["probe"] and store.held([first, second]) == {first.key}


def test_an_artifact_that_a_kill_kept_from_being_sent_is_sent_by_the_next_run(bucket):
    artifact = make(Store(URI))
    shutil.rmtree(bucket)
    make(Store(URI))
    assert files(bucket / "probe" / artifact.key) == files(artifact.path)


def test_what_is_there_is_not_sent_again(bucket):
    artifact = make(Store(URI))
    before = (bucket / "probe" / artifact.key / "a.txt").stat().st_mtime_ns
    make(Store(URI))
    assert (bucket / "probe" / artifact.key / "a.txt").stat().st_mtime_ns == before


def test_the_record_is_sent_last_and_without_it_the_rest_is_nothing(bucket, monkeypatch):
    def broken(self, name: str) -> None:
        if name.endswith(RECORD):
            raise OSError(5, "Input/output error")
        make_folder(self, name)

    make_folder = remote.Remote._make_folder
    monkeypatch.setattr(remote.Remote, "_make_folder", broken)
    with pytest.raises(Failed, match=f"cannot send probe/.*{RECORD} to s3://bucket/audits") as error:
        make(Store(URI))
    assert one_line(error).endswith("run the same command again to resume")
    monkeypatch.undo()
    assert len(files(bucket)) == 3  # two files and the timing


def test_a_half_sent_artifact_is_made_again(bucket):
    artifact = make(Store(URI))
    (bucket / "probe" / artifact.key / RECORD).unlink()
    lose_working_directory()
    store = Store(URI)
    assert store.held([artifact]) == set()
    make(store, text="made again")
    assert (artifact.path / "a.txt").read_text() == (bucket / "probe" / artifact.key / "a.txt").read_text() == "made again"


@pytest.mark.parametrize("name", ["a.txt", "rounds/b.txt"])
def test_a_changed_file_is_not_taken(bucket, name):
    artifact = make(Store(URI))
    (bucket / "probe" / artifact.key / name).write_text("mad3")
    lose_working_directory()
    with pytest.raises(Failed, match=f"{name} is not what its record says: delete probe/{artifact.key} there") as error:
        make(Store(URI))
    assert one_line(error) and not artifact.path.exists()


@pytest.mark.parametrize(
    "change", [{"key": "0" * 16}, {"files": {"../../escaped": "0"}}, {"files": {"/tmp/escaped": "0"}}, None]
)
def test_a_record_of_something_else_is_not_followed(bucket, change):
    artifact = make(Store(URI))
    record = bucket / "probe" / artifact.key / RECORD
    record.write_text("half" if change is None else json.dumps(json.loads(record.read_text()) | change))
    lose_working_directory()
    with pytest.raises(Failed, match="is no record of probe") as error:
        make(Store(URI))
    assert one_line(error) and not list(directory(URI).rglob("escaped"))


def test_a_plan_counts_what_only_the_bucket_holds_and_fetches_none_of_it(bucket):
    artifact = make(Store(URI))
    lose_working_directory()
    store = Store(URI)
    other = store.place("probe", 2, {}, {})
    assert store.held([artifact, other]) == {artifact.key} and not list(store.root.iterdir())


def test_the_truth_comes_back_and_here_its_owner_alone_reads_it(bucket):
    index = np.arange(5)
    seal(Store(URI), "key", Truth(index, index % 2 == 0, index == 1, index % 3))
    sealed = directory(URI) / "truth" / "key" / "truth.parquet"
    assert sealed.stat().st_mode & 0o777 == 0o600 and sealed.parent.stat().st_mode & 0o777 == 0o700
    lose_working_directory()
    truth = unseal(Store(URI), "key")
    assert truth.poisoned.tolist() == [True, False, True, False, True] and truth.true_label.tolist() == [0, 1, 2, 0, 1]
    with pytest.raises(Refused, match="no sealed truth for the dataset other"):
        unseal(Store(URI), "other")


def test_a_store_travels_to_another_process_with_its_bucket(bucket, monkeypatch):
    store = pickle.loads(pickle.dumps(Store(URI)))
    monkeypatch.setenv("RAY_DEFENSE_CACHE", "/nowhere")  # of a process elsewhere
    artifact = make(store)
    assert files(bucket / "probe" / artifact.key) == files(artifact.path)


def test_a_bucket_that_takes_no_file_is_refused_before_work(bucket, monkeypatch):
    Store(URI).check_writable()
    assert not files(bucket)

    def denied(self, name: str) -> None:
        raise OSError("When completing: Access Denied for KEY with sec/ret\nsecond line")

    monkeypatch.setattr(remote.Remote, "_make_folder", denied)
    with pytest.raises(Refused, match="cannot write s3://bucket/audits/.writable: .*Access Denied") as error:
        Store(URI).check_writable()
    assert one_line(error).endswith("check the URI, its options and the credentials")


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("nope://KEY:sec%2Fret@bucket/audits", "store nope://bucket/audits is no URI that pyarrow takes"),
        (URI + "&bogus=1", "store s3://bucket/audits is no URI that pyarrow takes"),
        ("s3://KEY:sec/ret@bucket/audits", "credentials in it are percent-encoded"),
        ("s3://KEY:sec?ret@bucket/audits", "store s3://bucket/audits is no URI"),
        ("mock:///", "names no folder"),
        ("s3:/bucket/audits", "without its two slashes"),
        ("file://machine/audits", "names another machine"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_without_its_secrets(tmp_path, monkeypatch, uri, why):
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(Refused, match=why) as error:
        Store(uri)
    told = "".join(traceback.format_exception(error.value))
    assert one_line(error) and not any(secret in told for secret in SECRETS)
    assert not (tmp_path / "cache").exists()


def test_what_holds_a_connection_shows_no_secret(bucket):
    assert not any(secret in repr(connect(URI)) for secret in SECRETS)


def test_a_file_uri_is_its_path(tmp_path):
    store = Store((tmp_path / "a b").as_uri())
    assert store.root == tmp_path / "a b" == directory(str(tmp_path / "a b")) and store.remote is None


def test_a_new_password_keeps_the_working_directory_and_another_place_has_another():
    one = working_directory("s3://key:one@bucket/audits")
    assert one == working_directory("s3://key:two@bucket/audits")
    others = {
        working_directory(uri) for uri in ("s3://key:one@bucket/b", "s3://key:one@other/audits", "abfs://key@bucket/audits")
    }
    assert len(others | {one}) == 4


def test_a_run_in_a_bucket_comes_back_without_training(bucket, digits, monkeypatch):
    import tiny

    import ray_defense
    from ray_defense.execution.local import LocalExecutor

    first = ray_defense.run(tiny.recipe(digits), store=URI, executor="local", backend="numpy")
    monkeypatch.setattr(LocalExecutor, "train", lambda self, jobs: pytest.fail(f"{jobs} were trained again"))
    monkeypatch.setattr(LocalExecutor, "map", lambda self, *work: pytest.fail("it was measured again"))
    lose_working_directory()
    assert ray_defense.run(tiny.recipe(digits), store=URI, executor="local", backend="numpy") == first
    assert json.loads((bucket / "result.json").read_text())["score"]["auroc"] == first.score.auroc
    stored = b"".join(files(bucket).values())
    assert not any(secret.encode() in stored for secret in (*SECRETS[1:], "KEY:"))
    assert isinstance(Store(URI).remote.file_system, FileSystem)
