"""CIFAR from Parquet files, or from an archive that is verified before it is used."""

import hashlib
import io
import tarfile

import numpy as np
import pytest

from ray_defense.core.errors import InputError
from ray_defense.data.sources import archive as archive_module
from ray_defense.data.sources.cifar import CIFAR100_CLASSES, Cifar10, Cifar100
from tests.support.encoded_images import encode_image, random_picture
from tests.support.source_files import (
    cifar_record,
    random_cifar10_members,
    write_archive,
    write_parquet,
)


def test_cifar_reads_its_own_parquet_files_and_limits_training_alone(tmp_path, monkeypatch):
    pixels = [random_picture() for _ in range(5)]
    images = [encode_image(image) for image in pixels]
    for split in ("train", "test"):
        write_parquet(tmp_path / f"cifar10-{split}.parquet", images, [3, 1, 4, 1, 5])
    monkeypatch.setenv("RAY_DEFENSE_DATA", str(tmp_path))
    source = Cifar10(limit=2)
    assert source.labels("train").tolist() == [3, 1]
    assert source.labels("test").tolist() == [3, 1, 4, 1, 5]
    assert source.read("train", 0, 99).index.tolist() == [0, 1]
    assert np.array_equal(source.read("test", 1, 99).images, np.stack(pixels[1:]))


def test_the_binary_archive_of_cifar10_is_downloaded_verified_and_read(tmp_path):
    written = random_cifar10_members()
    hostile = {"../../evil": b"x", **written.members, "/etc/evil": b"x"}
    digest = write_archive(tmp_path / "tiny10.tar.gz", hostile)
    source = Cifar10(url=(tmp_path / "tiny10.tar.gz").as_uri(), md5=digest, limit=7)
    train = source.read("train", 0, 99)
    test = source.read("test", 1, 99)
    assert np.array_equal(train.images, written.images[:7])
    assert np.array_equal(source.labels("train"), written.labels[:7])
    assert np.array_equal(test.images, written.images[16:])
    assert np.array_equal(test.labels, written.labels[16:])
    names = sorted(path.name for path in tmp_path.rglob("*"))
    assert names == ["cache", "tiny10.tar.gz", "tiny10.tar.gz"]
    (tmp_path / "tiny10.tar.gz").unlink()
    assert len(source.labels("test")) == 3


def test_cifar100_takes_the_fine_label_from_an_archive_in_its_root(tmp_path):
    image = random_picture()
    record = cifar_record([11, 87], image)
    members = {"cifar-100-binary/train.bin": record * 2, "cifar-100-binary/test.bin": record}
    digest = write_archive(tmp_path / "cifar-100-binary.tar.gz", members)
    source = Cifar100(root=str(tmp_path), md5=digest)
    assert source.labels("train").tolist() == [87, 87]
    assert np.array_equal(source.read("test", 0, 1).images[0], image)


def test_a_damaged_archive_is_refused_before_use(tmp_path):
    digest = write_archive(tmp_path / "a.tar.gz", random_cifar10_members(1).members)
    url = (tmp_path / "a.tar.gz").as_uri()
    with pytest.raises(InputError, match="MD5"):
        Cifar10(url=url, md5="0" * 32).labels("train")
    assert not list((tmp_path / "cache").iterdir())
    (tmp_path / "cache" / "a.tar.gz").write_bytes(b"changed later")
    with pytest.raises(InputError, match="MD5"):
        Cifar10(url=url, md5=digest).labels("train")


@pytest.mark.parametrize("change", ["short", "missing", "link", "no archive", "half a header"])
def test_an_archive_of_other_content_is_refused(tmp_path, change):
    file = tmp_path / "a.tar.gz"
    name = "cifar-10-batches-bin/test_batch.bin"
    members = random_cifar10_members(1).members
    data = members.pop(name)
    if change == "short":
        members[name] = data[:-1]
    write_archive(file, members)
    if change == "link":
        member = tarfile.TarInfo(name)
        member.type = tarfile.SYMTYPE
        member.linkname = "/etc/passwd"
        with tarfile.open(file, "w:gz") as archive:
            archive.addfile(member)
    if change == "no archive":
        file.write_bytes(b"text")
    if change == "half a header":
        file.write_bytes(b"\x1f\x8b\x08")
    digest = hashlib.md5(file.read_bytes()).hexdigest()
    with pytest.raises(InputError, match=r"a\.tar\.gz"):
        Cifar10(url=file.as_uri(), md5=digest).labels("train")


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"Z"])
@pytest.mark.parametrize("instead", [True, False])
def test_a_member_without_a_file_is_no_member_whatever_its_name(kind, instead, tmp_path):
    """Input row 17: a folder called like a batch ended in a TypeError."""
    name = "cifar-10-batches-bin/test_batch.bin"
    members = random_cifar10_members(1).members
    data = members.pop(name) if instead else members[name]
    file = tmp_path / "a.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        odd = tarfile.TarInfo(name)
        odd.type = kind
        archive.addfile(odd)
        for member_name, content in members.items():
            member = tarfile.TarInfo(member_name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    source = Cifar10(url=file.as_uri(), md5=hashlib.md5(file.read_bytes()).hexdigest())
    if instead:
        with pytest.raises(InputError, match="has 0 bytes"):
            source.labels("test")
    else:
        assert source.labels("test").tolist() == [data[0]]


@pytest.mark.parametrize("limit", ["MAX_MEMBER_BYTES", "MAX_ARCHIVE_BYTES"])
def test_an_archive_or_a_member_of_very_many_bytes_is_refused(limit, tmp_path, monkeypatch):
    """Input row 17: bombs are not unpacked."""
    digest = write_archive(tmp_path / "a.tar.gz", random_cifar10_members(1).members)
    monkeypatch.setattr(archive_module, limit, 3000)
    with pytest.raises(InputError, match="has [0-9]+ bytes"):
        Cifar10(root=str(tmp_path), url="file:///none/a.tar.gz", md5=digest).labels("test")


def test_without_a_network_the_remedy_is_named(tmp_path):
    with pytest.raises(InputError, match="--data-root"):
        Cifar10(url=(tmp_path / "gone.tar.gz").as_uri()).labels("train")
    with pytest.raises(InputError, match="--data-root"):
        Cifar10(root=str(tmp_path / "gone")).labels("train")


def test_the_classes_of_cifar100_are_a_hundred_in_alphabetical_order():
    assert len(CIFAR100_CLASSES) == 100 == len(set(CIFAR100_CLASSES))
    assert list(CIFAR100_CLASSES) == sorted(CIFAR100_CLASSES)
