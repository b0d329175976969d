"""Writes one part of an audit in one form, whole or not at all; the data is left as it is."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ray_defense.core.errors import InputError, RunError, look_up, unknown_name
from ray_defense.core.progress import report_progress
from ray_defense.data.csv_file import write_csv
from ray_defense.data.text import encodable, shortened
from ray_defense.exports import EXPORTS
from ray_defense.exports.audit_folder import AUDIT_REJECTED, AuditFolder
from ray_defense.exports.protocol import ExportedSample, ExportForm, ExportRequest

if TYPE_CHECKING:
    from ray_defense.data.suspect_dataset import SuspectDataset

ExportPart = Literal["kept", "flagged", "uncertain", "trusted"]
EXPORT_TABLE = "export.csv"
_HEADER = ("written", "index", "file", "class", "label", "split")
_MAX_CLASSES_NAMED = 5


@dataclass(frozen=True)
class ExportSummary:
    """What an export wrote.

    Attributes:
        out: The folder.
        part: Which samples: kept, flagged, uncertain or trusted.
        form: The name of the form.
        num_written: How many samples were written.
        num_left: How many samples of the audit were not, the rejected ones apart.
        num_rejected: How many files of the user's the audit rejected; they are in no export.
        notes: What a user should know, in whole sentences.
    """

    out: Path
    part: str
    form: str
    num_written: int
    num_left: int
    num_rejected: int
    notes: tuple[str, ...]


def export_audit(
    audit: str | Path,
    part: ExportPart,
    form: str,
    out: str | Path,
    *,
    data: str | Path | None = None,
) -> ExportSummary:
    """Writes the samples of one part of an audit into a new folder.

    Args:
        audit: The folder of the audit.
        part: "kept" (all that is not flagged), "flagged", "uncertain" or "trusted".
        form: One of `EXPORTS`.
        out: The folder to write, which must not be there, or be empty.
        data: Where the audited data lies now; None for where it lay.

    Returns:
        What was written.

    Raises:
        InputError: If there is nothing to export, the folder is in use or lies in the data or the
            audit, or the data is not what was audited any more.
        RunError: If the folder cannot be written.
    """
    if part not in get_args(ExportPart):
        raise unknown_name("part", part, get_args(ExportPart))
    writer: ExportForm = look_up(EXPORTS, "form", form)()
    opened = AuditFolder.open(audit)
    members = opened.members(part)
    if not len(members):
        raise InputError(f"no sample of this audit is {part}: there is nothing to export")
    folder = _free_folder(opened, Path(out), data)
    names = opened.class_names
    if opened.columns["label"].min() < 0 or opened.columns["label"].max() >= len(names):
        raise InputError(f"a label of {str(opened.root)!r} has no class name: audit the data again")
    request = ExportRequest(
        class_names=names,
        num_samples=len(members),
        out=folder,
        title=f"the {part} samples of an audit",
    )
    samples = _Samples(opened, members, writer, data)
    with _written_aside(folder) as aside:
        rows = _rows(writer.write(aside, samples.read(), request))
        if writer.is_list:
            for _ in rows:  # it writes them as they pass
                pass
        else:
            write_csv(aside / EXPORT_TABLE, _HEADER, rows)
    return ExportSummary(
        out=folder,
        part=part,
        form=form,
        num_written=len(members),
        num_left=len(opened.columns["index"]) - len(members),
        num_rejected=int(opened.manifest["num_rejected"]),
        notes=tuple(_notes(opened, members, samples.note, part, writer.notes(request))),
    )


def _rows(written: Iterator[tuple[str, ExportedSample]]) -> Iterator[tuple[object, ...]]:
    for name, sample in written:
        where = (sample.file, sample.class_name, sample.label, sample.part)
        yield (name, sample.index, *where)


class _Samples:
    """The samples of a part, with the pictures that a form wants."""

    def __init__(
        self,
        audit: AuditFolder,
        members: np.ndarray,
        form: ExportForm,
        data: str | Path | None,
    ) -> None:
        self._audit = audit
        self._members = members
        self._images: Iterator[bytes] | None = None
        self._pixels: Iterator[np.ndarray] | None = None
        self.note: str | None = None  # what the images are
        if form.pictures == "none":
            return
        from ray_defense.data.suspect_dataset import SuspectDataset
        from ray_defense.exports.pictures import open_pictures, read_pixels

        dataset = SuspectDataset(audit.artifact("ingest"))
        _check_same_samples(audit, dataset)
        positions = dataset.locate(audit.columns["index"][members])
        if form.pictures == "pixels":
            height, width, _ = dataset.image_shape
            self.note = f"images have the size that was audited, {width}x{height} pixels"
            self._pixels = read_pixels(dataset, positions)
        else:
            pictures = open_pictures(audit, dataset, data)
            self.note = pictures.note
            self._images = pictures.read(positions)

    def read(self) -> Iterator[ExportedSample]:
        """Yields the samples by ascending index."""
        columns = self._audit.columns
        names = self._audit.class_names
        for number, position in enumerate(self._members.tolist()):
            pixels = None if self._pixels is None else next(self._pixels)
            image = None if self._images is None else next(self._images)
            label = int(columns["label"][position])
            yield ExportedSample(
                index=int(columns["index"][position]),
                file=columns["file"][position],
                class_name=names[label],
                label=label,
                part=columns["split"][position],
                pixels=pixels,
                image=image,
            )
            report_progress("export", number + 1, len(self._members))


def _check_same_samples(audit: AuditFolder, dataset: "SuspectDataset") -> None:
    """Raises InputError if the table of an audit and its dataset are not of the same samples."""
    same_index = np.array_equal(audit.columns["index"], dataset.index)
    if not same_index or not np.array_equal(audit.columns["label"], dataset.labels):
        raise InputError(
            f"the table of {str(audit.root)!r} and its store {str(audit.store)!r} are of different "
            "samples: restore the store, or audit the data again"
        )


def _free_folder(audit: AuditFolder, out: Path, data: str | Path | None) -> Path:
    """Returns the absolute path of the folder to write, after it was found free."""
    folder = out.expanduser().resolve()
    shown = shortened(encodable(str(out)))
    if folder.exists():
        if not folder.is_dir():
            raise InputError(f"{shown!r} is a file: name a new folder with --out")
        if any(folder.iterdir()):
            raise InputError(f"{shown!r} is not empty: name a new folder with --out")
    homes = {"the audit": audit.root, "the store": audit.store}
    for place in (data, audit.manifest.get("data"), audit.manifest["source"].get("path")):
        if isinstance(place, str | Path) and str(place):
            homes[f"the data {shortened(encodable(str(place)))!r}"] = Path(place).expanduser()
    for home, path in homes.items():
        if folder.is_relative_to(path.resolve()) or folder == path.resolve():
            raise InputError(f"{shown!r} lies in {home}: name a folder elsewhere with --out")
    return folder


@contextlib.contextmanager
def _written_aside(folder: Path) -> Iterator[Path]:
    """Gives the body a folder that takes the name of `folder` once the body has succeeded."""
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
    except OSError as error:
        raise InputError(
            f"cannot write in {str(folder.parent)!r}: {error.strerror}; name another --out"
        ) from None
    try:
        yield aside
        try:
            os.rename(aside, folder)  # also onto an empty folder
        except OSError as error:
            raise RunError(
                f"cannot put the export at {str(folder)!r}: {error.strerror}; name another --out"
            ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _notes(
    audit: AuditFolder,
    members: np.ndarray,
    pictures: str | None,
    part: str,
    notes_of_form: Sequence[str],
) -> Iterator[str]:
    if pictures is not None:
        yield pictures
    yield from notes_of_form
    names = audit.class_names
    counts = np.bincount(audit.columns["label"][members], minlength=len(names))
    before = np.bincount(audit.columns["label"], minlength=len(names))
    lost = np.flatnonzero((counts == 0) & (before > 0))
    if part == "kept" and len(lost):
        named = ", ".join(repr(names[label]) for label in lost[:_MAX_CLASSES_NAMED].tolist())
        more = ", ..." if len(lost) > _MAX_CLASSES_NAMED else ""
        yield f"{len(lost)} classes have no sample left: {named}{more}"
    num_rejected = int(audit.manifest["num_rejected"])
    if num_rejected:
        yield (
            f"{num_rejected} rejected files were never judged and are in no export; they stay in "
            "your own data, where an attacker can hide: take them out before you train on it (see "
            f"{audit.root / AUDIT_REJECTED})"
        )
