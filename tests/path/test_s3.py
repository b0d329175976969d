"""Data and stores in a bucket of a server that speaks S3, through pyarrow's own client."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import ray_defense
from ray_defense.core.errors import InputError, RunError
from ray_defense.data.fetched_data import fetch_data
from ray_defense.data.sources.image_folder import ImageFolder
from ray_defense.data.sources.recognize import recognize
from ray_defense.execution.local import LocalExecutor
from ray_defense.store.artifacts import Store
from ray_defense.store.remote import connect
from tests.support import tiny
from tests.support.encoded_images import random_png
from tests.support.s3_server import SECRETS, S3Server, s3_server
from tests.support.source_files import write_archive, write_class_folders, write_parquet


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # nothing outside is asked
    with s3_server() as running:
        yield running


def send_folder(server: S3Server, folder: Path, prefix: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            server.write(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def test_a_run_in_a_bucket_comes_back_on_another_machine(
    digits: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    uri = server.uri("teams/vision")
    first = ray_defense.run(tiny.recipe(digits), store=uri, executor="local", backend="numpy")
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(tmp_path / "cache of another machine"))
    for work in ("train", "map"):
        monkeypatch.setattr(LocalExecutor, work, lambda *arguments: pytest.fail("done again"))
    again = ray_defense.run(tiny.recipe(digits), store=uri, executor="local", backend="numpy")
    # The paths are those of the other machine.
    assert replace(again, artifacts=first.artifacts, report=first.report) == first
    bucket = connect(uri)
    names = bucket.list_files()
    assert json.loads(bucket.read("result.json"))["score"]["auroc"] == first.score.auroc
    stored = b"".join(bucket.read(name) for name in names)
    for secret in SECRETS:
        assert secret.encode() not in stored
    (evidence,) = [name for name in names if name.endswith("evidence.parquet")]
    bucket.write(evidence, b"other bytes")
    monkeypatch.setenv("RAY_DEFENSE_CACHE", str(tmp_path / "cache of a third machine"))
    with pytest.raises(RunError, match="evidence.parquet is damaged"):
        ray_defense.run(tiny.recipe(digits), store=uri, executor="local", backend="numpy")


def test_images_in_a_bucket_are_read_as_those_of_a_folder(server: S3Server, tmp_path: Path):
    local = write_class_folders(tmp_path / "images", {"cat": 3, "dog": 2})
    send_folder(server, local, "images")
    server.mark_folder("images")
    server.mark_folder("images/cat")
    recognized = recognize(server.uri("images"))
    assert "5 files of s3://bucket/images" in recognized.sentences[0]
    source = recognized.source
    assert isinstance(source, ImageFolder)
    expected = ImageFolder(str(local)).read("train", 0, 5)
    assert (source.read("train", 0, 5).images == expected.images).all()
    assert recognize(server.uri("images")).source == source
    server.write("images/dog/new.png", random_png())
    assert len(recognize(server.uri("images")).source.labels("train")) == 6


def test_a_file_in_a_bucket_is_fetched_alone(server: S3Server, tmp_path: Path):
    write_parquet(tmp_path / "rows.parquet", [random_png()] * 3, [0, 1, 0])
    members = {}
    for number in range(4):
        members[f"{number:04}.png"] = random_png()
        members[f"{number:04}.cls"] = str(number % 2).encode()
    write_archive(tmp_path / "shard.tar.gz", members)
    server.write("many/rows.parquet", (tmp_path / "rows.parquet").read_bytes())
    server.write("many/shard.tar.gz", (tmp_path / "shard.tar.gz").read_bytes())
    rows = recognize(server.uri("many/rows.parquet")).source
    assert rows.labels("train").tolist() == [0, 1, 0]
    shard = recognize(server.uri("many/shard.tar.gz")).source
    assert shard.labels("train").tolist() == [0, 1, 0, 1]


def test_a_large_object_comes_and_goes_in_parts(server: S3Server, tmp_path: Path):
    """More than one part of S3's uploads (pyarrow sends parts of 10 MiB)."""
    data = bytes(range(256)) * (25 * 2**20 // 256)
    (tmp_path / "large").write_bytes(data)
    bucket = connect(server.uri("store"))
    bucket.send(tmp_path, "probe/key", ["large"])
    assert bucket.read("probe/key/large") == data
    assert fetch_data(server.uri("store/probe/key/large")).path.read_bytes() == data


def test_nothing_there_is_refused_in_one_line(server: S3Server):
    with pytest.raises(InputError, match="there is nothing at s3://bucket/gone"):
        recognize(server.uri("gone"))
    with pytest.raises((InputError, RunError)) as caught:
        recognize(server.uri("gone").replace("@bucket/", "@no-such-bucket/"))
    assert "s3://no-such-bucket/gone" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_who_may_not_read_or_write_is_told_so_without_credentials(server: S3Server):
    server.write("images/cat/0.png", random_png())
    server.refuse_everybody()
    try:
        for act in (
            lambda: recognize(server.uri("images")),
            lambda: Store(server.uri("store")).check_writable(),
        ):
            with pytest.raises((InputError, RunError)) as caught:
                act()
            message = str(caught.value)
            assert "s3://bucket/" in message
            assert "\n" not in message
            for secret in SECRETS:
                assert secret not in message
    finally:
        server.let_everybody_in()


def test_a_server_that_is_away_is_one_line(server: S3Server):
    away = server.uri("images").replace(f"%3A{server.port}", "%3A9")
    with pytest.raises((InputError, RunError), match="s3://bucket/images"):
        recognize(away)
