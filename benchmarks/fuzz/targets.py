"""What is fuzzed: honest files of each kind, and how the product reads them."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image

from benchmarks.fuzz.audit_seeds import (
    audit_manifest_seeds,
    audit_table_seeds,
    audit_verdict_seeds,
    result_seeds,
)
from benchmarks.fuzz.seed import Seed, Target, digest
from ray_defense.core.config import to_plain
from ray_defense.core.sealed import read_sealed_json, write_sealed_json
from ray_defense.data.decode import FORMATS, DecodeError, decode_image
from ray_defense.data.rows import arrow_rows, parquet_rows
from ray_defense.data.shards.beton import BetonFile
from ray_defense.data.shards.beton_writer import write_beton
from ray_defense.data.sources import (
    archive_images,
    array_files,
    arrays,
    beton,
    row_files,
    table_rows,
)
from ray_defense.data.sources import table as table_source
from ray_defense.data.sources.archive import RecordFormat, load_archive
from ray_defense.data.sources.archive_images import ArchiveImages
from ray_defense.data.sources.arrays import Arrays
from ray_defense.data.sources.backdoorbench import BackdoorBench
from ray_defense.data.sources.beton import Beton
from ray_defense.data.sources.digits import Digits
from ray_defense.data.sources.parquet import Parquet
from ray_defense.data.sources.saved_dataset import SavedDataset
from ray_defense.data.sources.table import Table
from ray_defense.data.split_table import SplitTable, read_split, write_split
from ray_defense.data.suspect_dataset import SuspectDataset, write_manifest, write_shard
from ray_defense.data.table_file import read_sealed_table, write_sealed_table
from ray_defense.decoding.heif_layout import heif_formats
from ray_defense.execution.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from ray_defense.models.seeded import build_model
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.models.weights import load_model, save_weights
from ray_defense.pipeline.config_file import read_recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.stages.attacker.picture import load_picture
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.checked_files import checked_file, read_checked_json
from ray_defense.store.truth import Truth, seal, unseal

_SIZE = 32
_NUM_IMAGES = 12
_NUM_CLASSES = 3
_NUM_ROWS = 6  # of a table
_FEW = 10_000  # mutants of what takes some milliseconds each
_MODEL = SmallResNet(width=8)
_RECORDS = RecordFormat(train=("train.bin",), test=("test.bin",), label_bytes=1)


def honest_images() -> np.ndarray:
    """Returns uint8 [12, 32, 32, 3]: digits, and noise which no format compresses."""
    images = Digits().read("train", 0, _NUM_IMAGES).images
    noise = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    return np.where(np.arange(_NUM_IMAGES)[:, None, None, None] % 2, images, noise)


def _labels() -> np.ndarray:
    return np.arange(_NUM_IMAGES) % _NUM_CLASSES


def _encoded(image: np.ndarray, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, image_format, **options)
    return buffer.getvalue()


def image_seeds(folder: Path) -> list[Seed]:
    """Returns files of every accepted format, in the pixel modes that take other paths."""
    first, second = honest_images()[:2]
    encoded = [_encoded(first, name) for name in FORMATS]
    encoded.append(_encoded(second, "JPEG", progressive=True, quality=90))
    encoded.append(_encoded(second, "WEBP", lossless=True))
    encoded.append(_encoded(np.dstack([second, second[:, :, 0]]), "PNG"))
    encoded.append(_encoded(second[:, :, 0].astype(np.uint16) * 257, "PNG"))
    palette = io.BytesIO()
    Image.fromarray(second).quantize(16).save(palette, "PNG", transparency=3)
    encoded.append(palette.getvalue())
    encoded.append(_encoded(second[:, :, 0], "PPM"))
    cmyk = io.BytesIO()
    Image.fromarray(second).convert("CMYK").save(cmyk, "JPEG")
    encoded.append(cmyk.getvalue())
    return _seeds_of_images(folder, encoded)


def layout_seeds(folder: Path) -> list[Seed]:
    """Returns files whose parts are checked by our own readers: GIF, TIFF and MPO."""
    first, second = honest_images()[:2]
    gray = second[:, :, 0]
    encoded = [_encoded(first, "GIF"), _encoded(second, "GIF", interlace=True)]
    transparent = io.BytesIO()
    Image.fromarray(second).quantize(16).save(transparent, "GIF", transparency=3, comment=b"a")
    encoded.append(transparent.getvalue())
    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate"):
        encoded.append(_encoded(first, "TIFF", compression=name))
    encoded.append(_encoded(gray.astype(np.uint16) * 257, "TIFF"))
    encoded.append(_encoded(gray, "TIFF"))
    photograph = io.BytesIO()
    depth = Image.fromarray(second)
    Image.fromarray(first).save(photograph, "MPO", save_all=True, append_images=[depth])
    encoded.append(photograph.getvalue())
    if heif_formats():
        import pillow_heif

        pillow_heif.register_heif_opener()
        encoded += [_encoded(first, name, quality=90) for name in heif_formats()]
    return _seeds_of_images(folder, encoded)


def _seeds_of_images(folder: Path, encoded: Sequence[bytes]) -> list[Seed]:
    seeds = []
    for number, data in enumerate(encoded):
        path = folder / f"{number}.image"

        def read(path: Path = path) -> str:
            return digest(decode_image(path.read_bytes(), _SIZE))

        seeds.append(Seed(path, data, read))
    return seeds


def parquet_seeds(folder: Path) -> list[Seed]:
    """Returns training files with bytes, structs and class names, in several codings."""
    images = [_encoded(image, "PNG") for image in honest_images()]
    labels = _labels()
    plain = pa.table({"image": images, "label": labels})
    structs = [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]
    nested = pa.table({"image": structs, "label": labels})
    named = plain.replace_schema_metadata({"classes": json.dumps(["a", "b", "c"])})
    seeds = []
    for number, (table, options) in enumerate(
        (
            (plain, {"compression": "snappy"}),
            (nested, {"compression": "zstd", "row_group_size": 5}),
            (named, {"compression": "none", "use_dictionary": False}),
        )
    ):
        path = folder / f"{number}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **options)

        def read(path: Path = path) -> str:
            return _read_rows(Parquet(str(path)))

        seeds.append(Seed(path, sink.getvalue().to_pybytes(), read))
    return seeds


def metadata_seeds(folder: Path) -> list[Seed]:
    """Returns what Hugging Face writes into the schema of a Parquet file, and lists of classes."""
    images = [_encoded(image, "PNG") for image in honest_images()]
    structs = [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]
    table = pa.table({"image": structs, "label": _labels()})
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["cat", "dog", "owl"], "_type": "ClassLabel"},
    }
    described = {"info": {"features": features}}
    data = folder / "data"
    data.mkdir()
    pq.write_table(table.slice(6), data / "train-00001-of-00002.parquet")
    pq.write_table(table.slice(0, 4), data / "test-00000-of-00001.parquet")
    seeds = []
    for key, text in (
        ("huggingface", json.dumps(described)),
        ("classes", json.dumps(["cat", "dog", "owl"])),
        ("classes", "cat,dog,owl"),
    ):
        path = folder / f"{len(seeds)}.metadata"

        def read(path: Path = path, key: str = key) -> str:
            named = table.slice(0, 6).replace_schema_metadata({key: path.read_bytes()})
            pq.write_table(named, data / "train-00000-of-00002.parquet")
            source = Parquet(str(folder))
            batch = source.read("train", 0, 2 * _NUM_IMAGES)
            return digest(source.info(), batch.images, batch.labels, batch.index)

        seeds.append(Seed(path, text.encode(), read))
    return seeds


def _read_rows(source: row_files.RowFiles) -> str:
    # A mutant may have the size and, within a tick of the clock, the time of the one before.
    parquet_rows._layouts.clear()
    parquet_rows._descriptions.clear()
    arrow_rows._streams.clear()
    row_files._mapping_of.cache_clear()
    row_files._names_files.cache_clear()
    row_files._named_rows.cache_clear()
    info = source.info()
    batch = source.read("train", 0, 2 * _NUM_IMAGES)
    return digest(info, source.labels("train"), batch.images, batch.labels, batch.index)


def path_row_seeds(folder: Path) -> list[Seed]:
    """Returns Parquet and Arrow files whose rows name images: as texts, and in structs."""
    paths = []
    for number, image in enumerate(honest_images()):
        (folder / f"{number}.png").write_bytes(_encoded(image, "PNG"))
        paths.append(f"{number}.png")
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    structs = pa.array([{"bytes": None, "path": path} for path in paths], kind)
    seeds = []
    for number, column in enumerate((pa.array(paths), structs)):
        table = pa.table({"image": column, "label": _labels()})
        packed = folder / f"{number}.parquet"
        pq.write_table(table, packed, row_group_size=5)
        streamed = folder / f"{number}.arrow"
        with pa.ipc.new_stream(streamed, table.schema) as writer:
            writer.write_table(table, max_chunksize=5)
        for source in (Parquet(str(packed)), SavedDataset(str(streamed))):

            def read(source: row_files.RowFiles = source) -> str:
                return _read_rows(source)

            seeds.append(Seed(Path(source.path), Path(source.path).read_bytes(), read))
    return seeds


def saved_dataset_seeds(folder: Path) -> list[Seed]:
    """Returns files of saved datasets: Arrow files of three kinds, and what stands beside them."""
    images = [_encoded(image, "PNG") for image in honest_images()]
    structs = [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]
    labels = pa.array(_labels())
    named = {"info": {"features": {"label": {"names": ["a", "b", "c"]}}}}
    tables = (
        pa.table({"image": structs, "label": labels}, metadata={"huggingface": json.dumps(named)}),
        pa.table({"image": images, "label": labels.cast(pa.float32())}),
        pa.table({"image": images, "label": [f"class {label}" for label in _labels()]}),
    )
    seeds = []
    # A mutant stays where it was put, so each seed has a dataset of its own.
    mutated_files = [(table, "train/data-00000-of-00001.arrow") for table in tables]
    mutated_files += [(tables[1], name) for name in _SAVED_JSON]
    for number, (table, name) in enumerate(mutated_files):
        root = folder / str(number)
        _write_saved_dataset(root, table)
        mutated = root / name

        def read(root: Path = root) -> str:
            return _read_rows(SavedDataset(str(root)))

        seeds.append(Seed(mutated, mutated.read_bytes(), read))
    return seeds


_SAVED_JSON = ("dataset_dict.json", "train/state.json", "train/dataset_info.json")


def _write_saved_dataset(root: Path, table: pa.Table) -> None:
    """Writes a table as `save_to_disk()` writes a dataset of one split."""
    folder = root / "train"
    folder.mkdir(parents=True)
    with pa.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    contents = {
        "dataset_dict.json": {"splits": ["train"]},
        "train/state.json": {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]},
        "train/dataset_info.json": {"features": {"label": {"names": ["a", "b", "c"]}}},
    }
    for name, content in contents.items():
        (root / name).write_text(json.dumps(content))


def record_seeds(folder: Path) -> list[Seed]:
    """Returns the names of the images of a record of BackdoorBench, of which the record is made."""
    clean = folder / "clean.npz"
    np.savez(clean, x_train=honest_images(), y_train=_labels())
    image = _encoded(honest_images()[0], "PNG")
    names = "\n".join(f"{label}/{position}.png" for position, label in enumerate(_labels()))
    path = folder / "names"

    def read() -> str:
        record = folder / "record"
        shutil.rmtree(record, ignore_errors=True)
        for name in path.read_bytes().split(b"\n"):
            # No mutant may leave the folder.
            parts = [part for part in name.split(b"/") if part not in (b"", b".", b"..")]
            file = record.joinpath("bd_train_dataset", *map(os.fsdecode, parts))
            with contextlib.suppress(OSError, ValueError):  # no file can be called so
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(image)
        source = BackdoorBench(str(record), clean=Arrays(str(clean)), target_label="1")
        batch = source.read("train", 0, _NUM_IMAGES)
        return digest(source.poisoned_index(), batch.images, batch.labels, batch.index)

    return [Seed(path, names.encode(), read)]


def beton_seeds(folder: Path) -> list[Seed]:
    """Returns raw and JPEG shards, one of them without an index."""
    images = honest_images()
    seeds = []
    for number, quality in enumerate((None, 90)):
        path = folder / f"{number}.beton"
        write_beton(path, images, _labels(), np.arange(_NUM_IMAGES), jpeg_quality=quality)

        def read(path: Path = path) -> str:
            file = BetonFile(path)
            rows = np.arange(min(len(file.labels), _NUM_IMAGES))
            return digest(file.labels, file.index if file.has_index else 0, file.images(rows))

        seeds.append(Seed(path, path.read_bytes(), read))
    return seeds


def foreign_beton_seeds(folder: Path) -> list[Seed]:
    """Returns the same files, read as those of a user."""
    seeds = []
    for seed in beton_seeds(folder):

        def read(path: Path = seed.path) -> str:
            beton._checked_file.cache_clear()
            beton._mapping_of.cache_clear()
            source = Beton(str(path))
            batch = source.read("train", 0, 2 * _NUM_IMAGES)
            return digest(source.info(), source.labels("train"), batch.images, batch.index)

        seeds.append(Seed(seed.path, seed.data, read))
    return seeds


def archive_seeds(folder: Path) -> list[Seed]:
    """Returns a small tar.gz archive of CIFAR's records, whose checksum is taken as known."""
    images = honest_images().transpose(0, 3, 1, 2).reshape(_NUM_IMAGES, -1)
    records = np.concatenate([_labels()[:, None].astype(np.uint8), images], axis=1)
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz", compresslevel=1) as archive:
        for name, rows in (("train.bin", records), ("test.bin", records[:4])):
            member = tarfile.TarInfo(name)
            member.size = rows.nbytes
            archive.addfile(member, io.BytesIO(rows.tobytes()))
    path = folder / "cifar.tar.gz"

    def read() -> str:
        # Without a checksum that fits, nothing of a mutant would be parsed.
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        load_archive.cache_clear()
        splits = load_archive(path, md5, _RECORDS)
        return digest(*[value for split in splits.values() for value in vars(split).values()])

    return [Seed(path, sink.getvalue(), read)]


def image_archive_seeds(folder: Path) -> list[Seed]:
    """Returns a tar, a tar.gz and a zip of class folders, and a tar as WebDataset writes it."""
    images = [_encoded(image, "PNG") for image in honest_images()]
    in_folders = {f"set/class {n % _NUM_CLASSES}/{n}.png": data for n, data in enumerate(images)}
    pairs = {}
    for number, data in enumerate(images):
        pairs[f"{number:04d}.cls"] = str(number % _NUM_CLASSES).encode()
        pairs[f"{number:04d}.png"] = data
    seeds = []
    for name, contents in (
        ("folders.tar", in_folders),
        ("folders.tar.gz", in_folders),
        ("folders.zip", in_folders),
        ("pairs.tar", pairs),
    ):
        path = folder / name
        _pack(path, contents)

        def read(path: Path = path) -> str:
            archive_images._index_of.cache_clear()
            source = ArchiveImages(str(path))
            batch = source.read("train", 0, 2 * _NUM_IMAGES)
            return digest(source.info(), batch.images, batch.labels, batch.index)

        seeds.append(Seed(path, path.read_bytes(), read))
    return seeds


def _pack(path: Path, contents: Mapping[str, bytes]) -> None:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, data in contents.items():
                packed.writestr(name, data)
        return
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def array_seeds(folder: Path) -> list[Seed]:
    """Returns .npz files, compressed and not, of whole numbers and of floats."""
    images = honest_images()[:, ::2, ::2]
    seeds = []
    for number, (save, pixels) in enumerate(
        ((np.savez, images), (np.savez_compressed, images), (np.savez, images / np.float32(255)))
    ):
        path = folder / f"{number}.npz"
        save(path, x_train=pixels, y_train=_labels(), x_test=pixels[:2], y_test=_labels()[:2])

        def read(path: Path = path) -> str:
            return _read_arrays(path)

        seeds.append(Seed(path, path.read_bytes(), read))
    return seeds


def array_folder_seeds(folder: Path) -> list[Seed]:
    """Returns the .npy files of a folder: images, and labels as numbers and as names."""
    images = honest_images()[:, ::2, ::2]
    names = np.array(["cat", "dog", "owl"])[_labels()]
    seeds = []
    for pixels, labels in ((images, _labels()), (np.asfortranarray(images), names)):
        for mutated in ("x_train.npy", "y_train.npy"):
            root = folder / str(len(seeds))
            root.mkdir()
            np.save(root / "x_train.npy", pixels)
            np.save(root / "y_train.npy", labels)

            def read(root: Path = root) -> str:
                return _read_arrays(root)

            seeds.append(Seed(root / mutated, (root / mutated).read_bytes(), read))
    return seeds


def _read_arrays(path: Path) -> str:
    arrays._array_set.cache_clear()
    array_files._whole_array.cache_clear()
    source = Arrays(str(path))
    batch = source.read("train", 0, 2 * _NUM_IMAGES)
    return digest(source.info(), source.labels("test"), batch.images, batch.labels)


def table_seeds(folder: Path) -> list[Seed]:
    """Returns tables of image files: commas, semicolons with quotes, and tabs without a split."""
    for number, image in enumerate(honest_images()[:_NUM_ROWS]):
        (folder / f"{number}.png").write_bytes(_encoded(image, "PNG"))
    seeds = []
    for name, delimiter, quote in (
        ("labels.csv", ",", ""),
        ("quoted.csv", ";", '"'),
        ("a.tsv", "\t", ""),
    ):
        path = folder / name
        lines = [delimiter.join(("file", "label", "split"))]
        for number in range(_NUM_ROWS):
            split = "test" if number % 4 == 3 else "train"
            cells = (f"{number}.png", f"class {number % _NUM_CLASSES}", split)
            lines.append(delimiter.join(f"{quote}{cell}{quote}" for cell in cells))

        def read(path: Path = path) -> str:
            table_rows.read_table_rows.cache_clear()
            table_source._mapping_of.cache_clear()
            source = Table(str(path))
            batch = source.read("train", 0, 2 * _NUM_IMAGES)
            return digest(source.info(), batch.images, batch.labels, batch.index)

        seeds.append(Seed(path, "\n".join(lines).encode(), read))
    return seeds


def configuration_seeds(folder: Path) -> list[Seed]:
    """Returns a recipe as JSON and as YAML."""
    plain = to_plain(named_recipe("digits_badnets"))
    seeds = []
    for number, text in enumerate((json.dumps(plain), yaml.safe_dump(plain))):
        path = folder / f"{number}.config"

        def read(path: Path = path) -> str:
            return digest(read_recipe(path))

        seeds.append(Seed(path, text.encode(), read))
    return seeds


def store_seeds(folder: Path) -> dict[str, Seed]:
    """Returns a file of each kind that a store holds, by the kind."""
    store = Store(folder / "store")
    artifact = store.locate("ingest", 1, {}, {})
    with store.claim([artifact]):
        _write_artifact(artifact.work)
        artifact.publish(1.0)
    truth = Truth(
        index=np.arange(_NUM_IMAGES),
        poisoned=_labels() == 1,
        cover=_labels() == 2,
        true_label=_labels(),
    )
    seal(store, artifact.key, truth)
    scratch = store.locate("probe", 1, {}, {}).scratch
    scratch.mkdir(parents=True)
    save_checkpoint(scratch, {"model": torch.arange(10.0), "epoch": 3})
    write_sealed_table(scratch / "block.sealed", pa.table({"index": np.arange(5)}))
    write_sealed_json(scratch / "row.json", {"trial": 3, "auroc": 0.5, "stopped": None})
    seeds = {}
    for name, (path, read) in _store_readers(store, artifact, scratch).items():
        seeds[name] = Seed(path, path.read_bytes(), read)
    return seeds


def _write_artifact(work: Path) -> None:
    """Writes a file of each kind that finished artifacts hold."""
    images = honest_images()
    index = np.arange(_NUM_IMAGES)
    origin = [f"{number}.png" for number in index]
    part = write_shard(work, 0, images, labels=_labels(), index=index, origin=origin)
    write_manifest(work, [part])
    description = {"num_classes": _NUM_CLASSES, "class_names": ["a", "b", "c"], "notes": []}
    (work / "dataset.json").write_text(json.dumps(description))
    parts = np.array(["trusted", "flagged", "uncertain"])[_labels()]
    write_split(work, SplitTable(index, np.linspace(0, 1, _NUM_IMAGES), parts))
    save_weights(work / "model.safetensors", build_model(_MODEL, _NUM_CLASSES, seed=0))
    np.save(work / "pixels.npy", images[0])


def _store_readers(
    store: Store, artifact: Artifact, scratch: Path
) -> Mapping[str, tuple[Path, Callable[[], str]]]:
    """Returns where each kind of file stands, and how a run reads it."""
    folder = artifact.path

    def read_dataset() -> str:
        dataset = SuspectDataset(folder)
        images = dataset.read_images(np.arange(dataset.num_samples))
        return digest(images, dataset.labels, dataset.class_names)

    def read_hashes() -> str:
        return digest(sorted(artifact.hashes.items()))

    def read_seconds() -> str:
        return digest(artifact.seconds, sorted(artifact.versions.items()))

    def read_parts() -> str:
        table = read_split(folder)
        return digest(table.index, table.score, table.part)

    def read_weights() -> str:
        model = load_model(checked_file(folder / "model.safetensors"), _MODEL, _NUM_CLASSES)
        return digest(*[tensor.numpy() for tensor in model.state_dict().values()])

    def read_description() -> str:
        return digest(read_checked_json(folder / "dataset.json"))

    def read_picture() -> str:
        load_picture.cache_clear()
        return digest(load_picture(folder))

    def read_truth() -> str:
        return digest(*vars(unseal(store, artifact.key)).values())

    def read_checkpoint() -> str:
        state = load_checkpoint(scratch, torch.device("cpu"))
        assert state is not None
        return digest(state["model"].numpy(), state["epoch"])

    def read_block() -> str:
        return digest(read_sealed_table(scratch / "block.sealed")["index"].to_numpy())

    def read_row() -> str:
        return digest(sorted(read_sealed_json(scratch / "row.json").items()))

    return {
        "record": (folder / "config.json", read_hashes),
        "timing": (folder / "timing.json", read_seconds),
        "manifest": (folder / "manifest.parquet", read_dataset),
        "shard": (folder / "shard-00000.beton", read_dataset),
        "description": (folder / "dataset.json", read_description),
        "split": (folder / "split.parquet", read_parts),
        "weights": (folder / "model.safetensors", read_weights),
        "picture": (folder / "pixels.npy", read_picture),
        "truth": (store.root / "truth" / artifact.key / "truth.sealed", read_truth),
        "checkpoint": (scratch / CHECKPOINT, read_checkpoint),
        "block": (scratch / "block.sealed", read_block),
        "row": (scratch / "row.json", read_row),
    }


def _store_target(kind: str) -> Target:
    def make_seeds(folder: Path) -> list[Seed]:
        return [store_seeds(folder)[kind]]

    return Target(f"store: {kind}", make_seeds, of_store=True, num_mutants=_FEW)


STORE_KINDS: Sequence[str] = (
    "record",
    "timing",
    "manifest",
    "shard",
    "description",
    "split",
    "weights",
    "picture",
    "truth",
    "checkpoint",
    "block",
    "row",
)
INPUT_TARGETS = (
    Target("images", image_seeds, of_store=False),
    Target("parquet", parquet_seeds, of_store=False),
    Target("saved dataset", saved_dataset_seeds, of_store=False),
    Target("record", record_seeds, of_store=False),
    Target("beton", beton_seeds, of_store=False),
    Target("foreign beton", foreign_beton_seeds, of_store=False),
    Target("archive", archive_seeds, of_store=False),
)
FORM_TARGETS = (
    Target("table", table_seeds, of_store=False),
    Target("array folder", array_folder_seeds, of_store=False),
    Target("arrays", array_seeds, of_store=False),
    Target("image archives", image_archive_seeds, of_store=False),
    Target("configuration", configuration_seeds, of_store=False),
    Target("rows of paths", path_row_seeds, of_store=False, num_mutants=_FEW),
    Target("parquet metadata", metadata_seeds, of_store=False, num_mutants=_FEW),
    Target("picture layouts", layout_seeds, of_store=False, num_mutants=_FEW),
)
AUDIT_TARGETS = (
    Target("result", result_seeds, of_store=False),
    Target("audit manifest", audit_manifest_seeds, of_store=False, num_mutants=_FEW),
    Target("audit verdict", audit_verdict_seeds, of_store=False, num_mutants=_FEW),
    Target("audit table", audit_table_seeds, of_store=False, num_mutants=_FEW),
)
STORE_TARGETS = tuple(_store_target(kind) for kind in STORE_KINDS)
REFUSALS = (DecodeError,)  # beside the errors that a user may see
