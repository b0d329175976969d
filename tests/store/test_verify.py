"""`verify` reads every file of a store and names each damaged one in a line."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ray_defense.cli.main import main
from ray_defense.core.errors import DamageError, InputError
from ray_defense.core.sealed import write_sealed, write_sealed_json
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.truth import Truth, seal, unseal
from ray_defense.store.verify import verify_store

TRUTH = Truth(
    index=np.arange(3),
    poisoned=np.array([True, False, False]),
    cover=np.zeros(3, bool),
    true_label=np.array([4, 5, 6]),
)


def fill_store(location: str | Path) -> list[Artifact]:
    """Writes finished artifacts, one with nested files, a truth, and work under way."""
    store = Store(location)
    artifacts = []
    for stage in ("probe", "d_br"):
        artifact = store.locate(stage, 1, {}, {})
        with store.claim([artifact]):
            (artifact.work / "rounds").mkdir()
            (artifact.work / "model.safetensors").write_bytes(b"weights")
            (artifact.work / "rounds" / "round-001.safetensors").write_bytes(b"more")
            artifact.publish(1.0)
        artifacts.append(artifact)
    seal(store, artifacts[0].key, TRUTH)
    under_way = store.locate("sweep", 1, {}, {})
    with store.claim([under_way]):
        (under_way.scratch / "rows").mkdir()
        write_sealed_json(under_way.scratch / "rows" / "00001.json", {"trial": 1})
        write_sealed(under_way.scratch / "checkpoint.sealed", b"tensors")
    return artifacts


def files_of(root: Path) -> list[Path]:
    files = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix != ".lock":
            files.append(path)
    return files


def test_a_whole_store_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    fill_store(tmp_path / "s")
    result = verify_store(tmp_path / "s")
    assert result.damages == []
    assert result.num_artifacts == 2
    assert result.num_files == len(files_of(tmp_path / "s")) == 11
    assert main(["verify", str(tmp_path / "s"), "--quiet"]) == 0
    expected = "11 files of 2 finished artifacts were read: all are what was written\n"
    assert capsys.readouterr().out == expected


def test_a_flipped_bit_in_any_file_is_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fill_store(tmp_path / "s")
    for number in range(len(files_of(tmp_path / "s"))):
        shutil.rmtree(tmp_path / "t", ignore_errors=True)
        shutil.copytree(tmp_path / "s", tmp_path / "t")
        path = files_of(tmp_path / "t")[number]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        (damage,) = verify_store(tmp_path / "t").damages
        assert damage.startswith(f"{path} is damaged: remove ")
        assert main(["verify", str(tmp_path / "t"), "--quiet"]) == 3
        assert capsys.readouterr().out.splitlines() == [damage]


def test_missing_added_and_recordless_files_are_named(tmp_path: Path):
    first, second = fill_store(tmp_path / "s")
    (first.path / "model.safetensors").unlink()
    (first.path / "extra").write_text("x")
    (second.path / "config.json").unlink()
    damages = "\n".join(verify_store(tmp_path / "s").damages)
    missing = f"{first.path}/model.safetensors is no regular file: remove {first.path} and run"
    assert missing in damages
    assert f"{first.path}/extra is not in the record" in damages
    assert f"{second.path} has no config.json: remove {second.path}" in damages


def test_what_is_no_store_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="there is no store"):
        verify_store(tmp_path / "none")
    with pytest.raises(InputError, match="there is no store"):
        verify_store((tmp_path / "none").as_uri())
    assert not (tmp_path / "none").exists()


def test_a_damaged_truth_is_refused_and_says_what_to_remove(tmp_path: Path):
    first, _ = fill_store(tmp_path / "s")
    store = Store(tmp_path / "s")
    assert unseal(store, first.key).true_label.tolist() == [4, 5, 6]
    path = store.root / "truth" / first.key / "truth.sealed"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamageError, match=f"remove {store.root}/truth/{first.key} and"):
        unseal(store, first.key)
