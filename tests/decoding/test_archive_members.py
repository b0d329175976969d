"""Archives are listed as tarfile and zipfile list them, and damaged or hostile ones are refused."""

import gzip
import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from ray_defense.decoding import tar_members
from ray_defense.decoding.gzip_stream import GzipStream, PlainStream
from ray_defense.decoding.packed_member import ArchiveError, PackedMember, has_safe_path
from ray_defense.decoding.tar_members import walk_tar
from ray_defense.decoding.zip_members import list_zip, read_zip_member

CONTENTS = {
    "a.png": b"first",
    "folder/b.png": b"x" * 5000,
    "n" * 90 + "/" + "m" * 90 + ".png": b"prefix",
    "l" * 300 + ".png": b"long",
    "ünïcode \n.png": b"",
}
FORMATS = [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def write_tar(path: Path, tar_format: int, mode: str = "w") -> None:
    with tarfile.open(path, mode, format=tar_format) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in CONTENTS.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo("other" + kind.decode())
            member.type = kind
            member.linkname = "t" * 200
            archive.addfile(member)


def list_tar(path: Path) -> list[PackedMember]:
    stream = PlainStream(path)
    try:
        return list(walk_tar(stream))
    finally:
        stream.close()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("tar_format", FORMATS)
def test_a_tar_is_listed_as_tarfile_lists_it(tmp_path, tar_format, mode):
    write_tar(tmp_path / "a.tar", tar_format, mode)
    stream = (GzipStream if mode == "w:gz" else PlainStream)(tmp_path / "a.tar")
    members = []
    contents = {}
    for member in walk_tar(stream):
        members.append(member)
        contents[member.path] = stream.read(member.size)
    stream.close()
    assert contents == {**CONTENTS, **{f"other{kind}": b"" for kind in "2163"}}
    problems = [member.problem for member in members]
    assert problems == [""] * 5 + ["a link", "a link", "a FIFO", "a device"]


def test_sparse_files_are_named_and_what_follows_is_found(tmp_path):
    header = tarfile.TarInfo("sparse")
    header.type = tarfile.GNUTYPE_SPARSE
    header.size = 3
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT)[:512])
    block[482] = 1
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    after = tarfile.TarInfo("after").tobuf()
    data = bytes(block) + bytes(512) + b"abc".ljust(512, b"\0") + after + bytes(1024)
    (tmp_path / "a.tar").write_bytes(data)
    members = list_tar(tmp_path / "a.tar")
    found = [(member.path, member.problem) for member in members]
    assert found == [("sparse", "a sparse file"), ("after", "")]


def test_headers_that_would_fill_the_memory_are_refused_unread(tmp_path):
    """Input row 17: tarfile reads a name of any length."""
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        header = tarfile.TarInfo("name")
        header.type = kind
        header.size = 2**33
        with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
            file.write(header.tobuf(tarfile.GNU_FORMAT))
            file.write(bytes(2**20))
        stream = GzipStream(tmp_path / "a.tar.gz")
        with pytest.raises(ArchiveError, match="names takes 8589934592 bytes"):
            list(walk_tar(stream))
        stream.close()


def test_a_gzip_file_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(80 * 2**20)))
    stream = GzipStream(tmp_path / "a.gz")
    with pytest.raises(ArchiveError, match="times its size"):
        stream.skip_to(2**40)
    stream.close()


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tar_members, "MAX_MEMBERS", 3)
    write_tar(tmp_path / "a.tar", tarfile.GNU_FORMAT)
    with pytest.raises(ArchiveError, match="more than 3 members"):
        list_tar(tmp_path / "a.tar")


@pytest.mark.parametrize("tar_format", FORMATS)
def test_a_shortened_tar_is_refused_wherever_it_ends(tmp_path, tar_format):
    write_tar(tmp_path / "a.tar", tar_format)
    data = (tmp_path / "a.tar").read_bytes()
    end = len(data.rstrip(b"\0")) // 512 * 512 + 512
    for length in range(0, end, 256):
        (tmp_path / "a.tar").write_bytes(data[:length])
        with pytest.raises(ArchiveError):
            list_tar(tmp_path / "a.tar")


def mutants(data: bytes, count: int) -> list[bytes]:
    rng = random.Random(0)
    changed = []
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(rng.choice((1, 3, 20))):
            mutant[rng.randrange(len(mutant))] = rng.choice((0, 32, 48, 55, 128, 255))
        changed.append(bytes(mutant))
    return changed


def test_mutants_of_a_tar_raise_nothing_of_a_stranger(tmp_path):
    write_tar(tmp_path / "a.tar", tarfile.PAX_FORMAT)
    num_refused = 0
    for data in mutants((tmp_path / "a.tar").read_bytes(), 700):
        (tmp_path / "a.tar").write_bytes(data)
        try:
            list_tar(tmp_path / "a.tar")
        except ArchiveError:
            num_refused += 1
    assert num_refused > 50


def zip_of(contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.mkdir("folder")
        for name, data in contents.items():
            archive.writestr(name, data)
    return file


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_listed_and_read_as_zipfile_does(method):
    file = zip_of(CONTENTS, method)
    members = list_zip(file)
    assert {member.path: read_zip_member(file, member) for member in members} == CONTENTS


def test_members_of_a_zip_that_are_not_read_say_why():
    file = zip_of({"a": b"x" * 999}, zipfile.ZIP_LZMA)
    assert list_zip(file)[0].problem.startswith("packed in another way")
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert list_zip(file)[0].problem == "a link or a device"
    data = bytearray(zip_of({"a": b"x"}).getvalue())
    data[data.rindex(b"PK\1\2") + 8] |= 1
    assert list_zip(io.BytesIO(data))[0].problem == "encrypted"


def test_a_member_of_a_zip_that_unpacks_to_something_else_is_refused():
    file = zip_of({"a": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    member = list_zip(file)[0]
    assert len(read_zip_member(file, member)) == 10**6
    for size in (10, 10**6 - 1, 10**6 + 1):
        lying = PackedMember(
            "a",
            member.offset,
            size=size,
            packed_size=member.packed_size,
            is_deflated=True,
            checksum=member.checksum,
        )
        with pytest.raises(ArchiveError):
            read_zip_member(file, lying)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_mutants_of_a_zip_raise_nothing_of_a_stranger_and_never_give_other_bytes(method):
    noise = random.Random(1).randbytes(300)
    data = zip_of({"a.png": noise, "b": b"y" * 99}, method)
    num_refused = 0
    for mutant in mutants(data.getvalue(), 3000):
        file = io.BytesIO(mutant)
        try:
            for member in list_zip(file):
                if not member.problem:
                    assert read_zip_member(file, member) in (noise, b"y" * 99, b"")
        except ArchiveError:
            num_refused += 1
    assert num_refused > 50


@pytest.mark.parametrize(
    ("path", "is_safe"),
    [("a/b", True), ("a..b/..c", True), ("../a", False), ("/a", False), ("a\\..\\b", False)],
)
def test_a_path_that_leads_out_is_seen(path, is_safe):
    assert has_safe_path(path) == is_safe
