"""An artifact is whole or not there, made once, and named by its configuration and inputs."""

import dataclasses
import errno
import hashlib
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ray_defense.core import sealed as sealed_module
from ray_defense.core.errors import InputError
from ray_defense.core.files import file_hash, read_json, write_bytes, write_json
from ray_defense.core.sealed import read_sealed_json
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.record import RECORD, TIMING


def make_artifact(
    store: Store, artifact: Artifact, text: str = "made", seconds: float = 1.0
) -> None:
    """Makes an artifact of two files, unless it is finished."""
    with store.claim([artifact]) as missing:
        if missing:
            (artifact.work / "rounds").mkdir(exist_ok=True)
            (artifact.work / "rounds" / "b.txt").write_text(text)
            write_json(artifact.work / "a.json", {"text": text})
            artifact.publish(seconds)


def test_an_artifact_records_its_configuration_inputs_and_contents(tmp_path: Path):
    store = Store(tmp_path / "s")
    first = store.locate("probe", 1, {"epochs": 2}, {})
    second = store.locate("evidence", 1, {"draws": 1}, {"probe": first})
    make_artifact(store, first)
    make_artifact(store, second)
    assert second.path == tmp_path / "s" / "evidence" / second.key
    hashes = {}
    for name in ("a.json", "rounds/b.txt"):
        hashes[name] = hashlib.sha256((second.path / name).read_bytes()).hexdigest()
    assert read_sealed_json(second.path / RECORD) == {
        "stage": "evidence",
        "key": second.key,
        "config": {"draws": 1},
        "inputs": {"probe": first.key},
        "files": hashes,
    }
    assert second.hashes == hashes
    assert second.seconds == 1.0
    assert {path.name for path in second.path.iterdir()} == {"a.json", "rounds", RECORD, TIMING}


def test_how_long_it_took_does_not_change_the_record(tmp_path: Path):
    artifacts = []
    for name, seconds in (("s", 1.0), ("t", 2.0)):
        store = Store(tmp_path / name)
        artifacts.append(store.locate("probe", 1, {}, {}))
        make_artifact(store, artifacts[-1], seconds=seconds)
    assert artifacts[0].seconds != artifacts[1].seconds
    assert file_hash(artifacts[0].path / RECORD) == file_hash(artifacts[1].path / RECORD)


def test_a_key_depends_on_stage_version_configuration_and_inputs_but_not_on_the_root(
    tmp_path: Path,
):
    store = Store(tmp_path)
    a = store.locate("a", 1, {}, {})
    b = store.locate("b", 1, {}, {})
    artifacts = [
        store.locate("probe", 1, {"epochs": 2}, {"suspect": a}),
        store.locate("evidence", 1, {"epochs": 2}, {"suspect": a}),
        store.locate("probe", 2, {"epochs": 2}, {"suspect": a}),
        store.locate("probe", 1, {"epochs": 3}, {"suspect": a}),
        store.locate("probe", 1, {"epochs": 2}, {"suspect": b}),
        store.locate("probe", 1, {"epochs": 2}, {"other": a}),
    ]
    assert len({artifact.key for artifact in artifacts}) == len(artifacts)
    again = Store(tmp_path / "elsewhere").locate("probe", 1, {"epochs": 2}, {"suspect": a})
    assert again.key == artifacts[0].key


def test_what_is_interrupted_before_publishing_is_not_there_and_resumes(tmp_path: Path):
    store = Store(tmp_path)
    artifact = store.locate("probe", 1, {}, {})
    with pytest.raises(RuntimeError), store.claim([artifact]):
        (artifact.work / "half.txt").write_text("half")
        (artifact.scratch / "checkpoint.sealed").write_text("epoch 3")
        raise RuntimeError("killed")
    assert not artifact.exists
    assert not artifact.path.exists()
    with store.claim([artifact]) as missing:
        assert missing == [artifact]
        assert (artifact.work / "half.txt").read_text() == "half"
        assert (artifact.scratch / "checkpoint.sealed").read_text() == "epoch 3"
        artifact.publish(0.0)
    assert artifact.exists
    assert not artifact.work.exists()
    assert list(artifact.hashes) == ["half.txt"]
    assert not (artifact.path / "scratch").exists()


def test_a_file_that_a_kill_left_half_written_is_not_published(tmp_path: Path):
    store = Store(tmp_path)
    artifact = store.locate("ingest", 1, {}, {})
    with store.claim([artifact]):
        code = (
            "import os, sys; from pathlib import Path; from ray_defense.core import files\n"
            "files.os.fsync = lambda handle: os._exit(9)\n"
            f"files.write_bytes(Path({str(artifact.work)!r}) / 'a.json', b'half')"
        )
        assert subprocess.run([sys.executable, "-c", code]).returncode == 9
        assert len(list(artifact.work.iterdir())) == 2  # scratch, and what was being written
        write_bytes(artifact.work / "a.json", b"whole")
        artifact.publish(0.0)
    assert list(artifact.hashes) == ["a.json"]
    assert sorted(path.name for path in artifact.path.iterdir()) == ["a.json", RECORD, TIMING]


def test_publishing_again_changes_nothing(tmp_path: Path):
    store = Store(tmp_path)
    artifact = store.locate("probe", 1, {}, {})
    make_artifact(store, artifact, seconds=1.0)
    artifact.publish(99.0)
    make_artifact(store, artifact, text="other")
    assert artifact.seconds == 1.0
    assert read_json(artifact.path / "a.json") == {"text": "made"}


@pytest.mark.parametrize("failing", [TIMING, RECORD])
def test_row_fault_04_a_full_disk_while_publishing_leaves_no_artifact_and_keeps_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
):
    store = Store(tmp_path)
    artifact = store.locate("probe", 1, {}, {})

    def write_until_full(path: Path, data: bytes) -> None:
        if path.name == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_bytes(path, data)

    monkeypatch.setattr(sealed_module, "write_bytes", write_until_full)
    with pytest.raises(OSError, match="No space left"), store.claim([artifact]):
        (artifact.scratch / "checkpoint.sealed").write_text("epoch 3")
        (artifact.work / "a.json").write_text("made")
        artifact.publish(1.0)
    assert not artifact.exists
    assert not artifact.path.exists()
    monkeypatch.undo()
    with store.claim([artifact]) as missing:
        assert missing
        assert (artifact.scratch / "checkpoint.sealed").read_text() == "epoch 3"
        artifact.publish(1.0)
    assert artifact.exists
    assert list(artifact.hashes) == ["a.json"]


def test_of_two_threads_that_claim_a_key_one_makes_it_and_the_other_finds_it(tmp_path: Path):
    artifact = Store(tmp_path).locate("probe", 1, {}, {})
    makers: list[str] = []
    finders: list[str] = []
    start = threading.Barrier(2)

    def work(name: str) -> None:
        store = Store(tmp_path)
        start.wait()
        with store.claim([artifact]) as missing:
            if not missing:
                finders.append(name)
                return
            makers.append(name)
            time.sleep(0.1)
            artifact.publish(0.0)

    workers = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert len(makers) == 1
    assert len(finders) == 1


def test_row_fault_07_a_process_waits_for_the_claim_of_another_and_finds_its_artifact(
    tmp_path: Path,
):
    store = Store(tmp_path)
    artifact = store.locate("probe", 1, {}, {})
    code = (
        "from ray_defense.store.artifacts import Store\n"
        f"store = Store({str(tmp_path)!r}); artifact = store.locate('probe', 1, {{}}, {{}})\n"
        "print('ready', flush=True)\n"
        "with store.claim([artifact]) as missing: print(len(missing), artifact.key)"
    )
    with store.claim([artifact]):
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        time.sleep(0.1)
        assert other.poll() is None
        artifact.publish(0.0)
    assert other.communicate(timeout=120)[0] == f"0 {artifact.key}\n"


def test_claims_of_several_artifacts_in_any_order_do_not_wait_for_each_other(tmp_path: Path):
    store = Store(tmp_path)
    a = store.locate("a", 1, {}, {})
    b = store.locate("b", 1, {}, {})

    def work(pair: list[Artifact]) -> None:
        for _ in range(50):
            with store.claim(pair) as missing:
                assert missing == pair

    workers = []
    for pair in ([a, b], [b, a]):
        workers.append(threading.Thread(target=work, args=(pair,), daemon=True))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert not any(worker.is_alive() for worker in workers)


def test_a_store_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file: name a directory"):
        Store(tmp_path / "file")
    with pytest.raises(InputError, match="cannot make the store"):
        Store(tmp_path / "file" / "below")


def test_an_artifact_is_plain_frozen_data(tmp_path: Path):
    artifact = Store(tmp_path).locate("probe", 1, {"path": tmp_path, "epochs": (1, 2)}, {})
    assert pickle.loads(pickle.dumps(artifact)) == artifact
    assert artifact.config == {"path": str(tmp_path), "epochs": [1, 2]}
    with pytest.raises(dataclasses.FrozenInstanceError):
        artifact.key = "x"  # type: ignore[misc]


def test_a_file_beside_the_artifacts_is_read_back_and_an_absent_one_is_none(tmp_path: Path):
    store = Store(tmp_path)
    assert store.read_file("result.json") is None
    store.write_file("result.json", b"{}")
    assert store.read_file("result.json") == b"{}"
