"""The answer of a finished audit: gathered from the artifacts, and written as files for people."""

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ray_defense.core.config import to_plain
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_bytes
from ray_defense.core.version import VERSION
from ray_defense.core.versions import installed_versions
from ray_defense.data.csv_file import write_csv
from ray_defense.data.text import encodable, shortened
from ray_defense.pipeline.plan import Plan
from ray_defense.reports.audit import Audit, headline_of
from ray_defense.reports.detection import Detection
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_bytes

STORE_FOLDER = "store"
MEMORY_FOLDER = "data-from-memory"  # what a program handed over, as files
TRUSTED_FOLDER = "trusted-from-memory"  # and what it vouched for


@dataclass(frozen=True)
class AuditRequest:
    """What was asked for, for the records of an audit.

    Attributes:
        data: The data as the user named them.
        command: That does the same again.
        choices: What was recognized and chosen, in words by what it is about.
        side: The median of the shorter sides of the images in pixels; None where it is not known.
        num_cached: Stages that the store held already.
    """

    data: str
    command: str
    choices: Mapping[str, str]
    side: int | None
    num_cached: int


def check_free(out: Path, data: str) -> None:
    """Raises InputError if a folder holds something else than an audit of the same data.

    Args:
        out: The folder.
        data: The data as the records of an audit call them.
    """
    from ray_defense.exports.audit_folder import read_audit_manifest
    from ray_defense.pipeline.audit_files import MANIFEST

    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError(f"{str(out)!r} is no folder: name another with --out")
    if not out.is_dir():
        return
    entries = set(os.listdir(out))
    if entries and not entries & {MANIFEST, STORE_FOLDER, MEMORY_FOLDER, TRUSTED_FOLDER}:
        raise InputError(
            f"{str(out)!r} is not empty and holds no audit: name another folder with --out"
        )
    if MANIFEST in entries:
        audited = read_audit_manifest(out).get("data")
        if audited != data:
            raise InputError(
                f"{str(out)!r} holds the audit of {shortened(encodable(str(audited)))!r}: name "
                "another folder with --out"
            )


def places_of(artifacts: Mapping[str, Artifact]) -> dict[str, str]:
    """Returns where each artifact lies, from the folder of the audit, also if a link leads there.

    Args:
        artifacts: Of the store of the audit, by stage.
    """
    places = {}
    for stage, artifact in artifacts.items():
        places[stage] = f"{STORE_FOLDER}/{artifact.path.parent.name}/{artifact.path.name}"
    return places


def compare_with_truth(plan: Plan) -> dict[str, str]:
    """Returns how what is flagged compares with the truth, in words by what it is about.

    Args:
        plan: Finished up to its evaluation; without a truth there is nothing to say.
    """
    from ray_defense.data.table_file import read_table
    from ray_defense.stages.evaluation import SAMPLES

    artifact = plan.evaluation.artifact
    table = read_table(artifact.path / SAMPLES)
    if "poisoned" not in table.column_names:
        return {}
    poisoned = table["poisoned"].to_numpy(zero_copy_only=False)
    flagged = np.array(table["split"].to_pylist()) == "flagged"
    trusted = np.array(table["split"].to_pylist()) == "trusted"
    return {
        "truth": (
            f"{(flagged & poisoned).sum()} of the {poisoned.sum()} poisoned images are flagged, "
            f"{(flagged & ~poisoned).sum()} of the {(~poisoned).sum()} others are, and "
            f"{(trusted & poisoned).sum()} of the {trusted.sum()} trusted images are poisoned"
        )
    }


def write_audit(plan: Plan, out: Path, request: AuditRequest) -> Audit:
    """Writes the files of an audit and returns its answer.

    Args:
        plan: The plan of the audit, run up to its split.
        out: The folder of the audit.
        request: What was asked for.
    """
    from ray_defense.pipeline import audit_files
    from ray_defense.pipeline.audit_gathering import gather_page
    from ray_defense.pipeline.audited_samples import AuditedSamples
    from ray_defense.reports.audit_page import render_audit_page
    from ray_defense.stages.decide import SPLIT, VERDICT_FILE

    samples = AuditedSamples(plan)
    artifacts = plan.artifacts("split")
    audit_files.write_samples(out, samples.columns)
    write_csv(out / audit_files.REJECTED, ("file", "index", "reason"), samples.rejected_rows())
    verdict_bytes = read_checked_bytes(artifacts[SPLIT].path / VERDICT_FILE)
    write_bytes(out / audit_files.VERDICT, verdict_bytes)
    detection = samples.detection
    seconds = sum(artifact.seconds for artifact in artifacts.values())
    audit = Audit(
        verdict=_outcome(detection),
        headline=headline_of(detection.details, samples.class_names),
        flagged=detection.flagged,
        classes_suspected=samples.suspected_names(),
        power=detection.power,
        num_rejected=len(samples.rejected),
        choices=request.choices,
        notes=detection.notes,
        out=out,
        report=out / audit_files.PAGE,
        seconds=seconds,
        num_cached=request.num_cached,
        num_stages=len(artifacts),
        details=detection.details,
        columns=samples.columns,
        images_of=samples.images_of,
    )
    described = {
        "ray_defense": VERSION,
        "date": datetime.date.today().isoformat(),
        "command": request.command,
        "data": request.data,
        "source": to_plain(plan.recipe.source),
        "configuration": to_plain(plan.recipe),
        "store": STORE_FOLDER,
        "artifacts": places_of(artifacts),
        "data_fingerprint": samples.fingerprint(),
        "num_samples": len(samples.index),
        "num_rejected": len(samples.rejected),
        "class_names": list(samples.class_names),
        "versions": installed_versions(),
    }
    page = render_audit_page(gather_page(plan, samples, audit, described, side=request.side))
    write_bytes(audit.report, page.encode())
    audit_files.write_manifest_of_audit(out, described)
    return audit


def _outcome(detection: Detection) -> Any:
    assert detection.verdict is not None  # the decision of an audit counts evidence
    return detection.verdict
