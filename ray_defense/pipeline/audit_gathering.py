"""Gathers what the page of an audit shows, from its samples and their images.

Shapes: N samples, K columns.
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_defense.data.table_file import read_table
from ray_defense.pipeline.audited_samples import AuditedSamples
from ray_defense.pipeline.plan import Plan
from ray_defense.pipeline.run import plan_feature_map
from ray_defense.reports.audit import Audit
from ray_defense.reports.audit_page import (
    MAX_PICTURES,
    PICTURE_SIDE,
    AuditPageData,
    DuplicateGroup,
    FileNote,
    FlaggedSample,
    NextStep,
    PointMap,
    SamplePictures,
)
from ray_defense.stages.feature_map import FEATURE_MAP_FILE

if TYPE_CHECKING:
    import pyarrow as pa

    from ray_defense.data.sources.protocol import Source

_QUESTIONS = {
    "mirror": "Is this picture handed, where photographs are not?",
    "fct_draws": "How far do its features move at least, under many random transforms?",
    "grow": "Is it like the finds of the mirror filter?",
}


def gather_page(
    plan: Plan,
    samples: AuditedSamples,
    audit: Audit,
    described: Mapping[str, Any],
    *,
    side: int | None,
) -> AuditPageData:
    """Returns all that the page of an audit shows.

    Args:
        plan: The finished plan.
        samples: Its samples.
        audit: Its answer.
        described: The content of the manifest, but for the hashes.
        side: The median of the shorter sides of the images in pixels; None where it is not known.
    """
    source = plan.recipe.source
    size = samples.dataset.image_shape[0]
    original = None
    if side is not None and side > size:
        original = replace(source, size=min(side, PICTURE_SIDE))
    return AuditPageData(
        verdict=audit.details,
        notes=audit.notes,
        class_names=samples.class_names,
        labels=samples.labels,
        split=samples.detection.columns["split"],
        columns=samples.evidence,
        column_questions=_QUESTIONS,
        flagged=_flagged_samples(samples, original),
        transform="mirror image",
        maps=(*_maps_of_features(plan, samples), *_maps(samples)),
        duplicates=_duplicate_groups(samples),
        rejected=_file_notes(samples.rejected_rows()),
        conversions=_file_notes(samples.converted_rows()),
        num_junk=samples.num_junk,
        next_steps=tuple(next_steps(audit)),
        choices=audit.choices,
        data_path=described["data"],
        date=described["date"],
        command=described["command"],
        seconds=audit.seconds,
        fingerprints={"data": described["data_fingerprint"]},
        versions=described["versions"],
        configuration=described["configuration"],
    )


def _flagged_samples(
    samples: AuditedSamples, original: "Source | None"
) -> tuple[FlaggedSample, ...]:
    """Returns the flagged samples by rank, the first ones with pictures.

    Args:
        samples: The samples of the audit.
        original: Gives the images as large as the page shows them; None where the working size is
            their own.
    """
    columns = samples.columns
    num_flagged = len(samples.detection.flagged)
    flagged = []
    for row in range(num_flagged):
        pictures = None
        if row < MAX_PICTURES:
            pictures = _pictures_of(samples, int(samples.order[row]), original)
        flagged.append(
            FlaggedSample(
                file=columns["file"][row],
                class_name=columns["class"][row],
                index=int(columns["index"][row]),
                rank=row + 1,
                score=float(columns["score"][row]),
                p_value=float(columns["p"][row]),
                reasons=columns["reasons"][row],
                duplicates=columns["duplicates"][row],
                pictures=pictures,
            )
        )
    return tuple(flagged)


def _pictures_of(
    samples: AuditedSamples, position: int, original: "Source | None"
) -> SamplePictures:
    working_SSC = samples.dataset.read_images(np.array([position]))[0]
    large = None
    if original is not None:
        index = int(samples.index[position])
        batch = original.read("train", index, index + 1)
        large = batch.images[0] if len(batch.images) else None
    return SamplePictures(large, working_SSC, working_SSC[:, ::-1])


def _maps_of_features(plan: Plan, samples: AuditedSamples) -> tuple[PointMap, ...]:
    """Returns the maps of the probe's features, where there is a probe."""
    step = plan_feature_map(plan)
    if step is None or not step.artifact.exists:
        return ()
    table = read_table(step.artifact.path / FEATURE_MAP_FILE)
    is_flagged = samples.detection.columns["split"] == "flagged"
    flagged_M = is_flagged[samples.dataset.locate(table["index"].to_numpy())]
    counted = "Each point is a sample."
    if len(flagged_M) < len(samples.index):
        counted = f"Each point is one of {len(flagged_M):,} samples, flagged ones and a draw."
    return (
        PointMap(
            title="Principal components of the features",
            explanation=(
                f"{counted} Samples that the probe sees alike lie close together; flagged samples "
                "in a cluster of their own share something that the network has learned."
            ),
            points=_points(table, "x", "y"),
            flagged=flagged_M,
        ),
        PointMap(
            title="Neighbors by their features (t-SNE)",
            explanation=(
                f"{counted} Neighbors are samples that the probe sees alike; how far groups are "
                "from each other, and how large they are, means nothing."
            ),
            points=_points(table, "tsne_x", "tsne_y"),
            flagged=flagged_M,
        ),
    )


def _points(table: "pa.Table", across: str, up: str) -> np.ndarray:
    """Returns two columns as points, float64 [M, 2]."""
    points_M2: np.ndarray = np.stack((table[across].to_numpy(), table[up].to_numpy()), axis=1)
    return points_M2


def _maps(samples: AuditedSamples) -> tuple[PointMap, ...]:
    """Returns the principal components of the evidence, where it has two columns that vary."""
    ranks = []
    for values_N in samples.evidence.values():
        if values_N.min() < values_N.max():
            ranks.append(np.argsort(np.argsort(values_N, kind="stable"), kind="stable"))
    if len(ranks) < 2:
        return ()
    ranks_NK = np.stack(ranks, axis=1) / len(samples.index) - 0.5
    centered_NK = ranks_NK - ranks_NK.mean(axis=0)
    _, directions_KK = np.linalg.eigh(centered_NK.T @ centered_NK)
    points_N2 = centered_NK @ directions_KK[:, [-1, -2]]
    return (
        PointMap(
            title="Principal components of the evidence",
            explanation=(
                "Each point is a sample. Samples that the detectors rank alike lie close together."
            ),
            points=points_N2,
            flagged=samples.detection.columns["split"] == "flagged",
        ),
    )


def _duplicate_groups(samples: AuditedSamples) -> tuple[DuplicateGroup, ...]:
    members: dict[int, list[int]] = {}
    for position, group in enumerate(samples.duplicates):
        if group is not None:
            members.setdefault(group, []).append(position)
    groups = []
    for number, positions in sorted(members.items()):
        names = [samples.class_names[samples.labels[position]] for position in positions]
        files = [samples.origins[position] for position in positions]
        groups.append(DuplicateGroup(number, tuple(files), tuple(names)))
    return tuple(groups)


def _file_notes(rows: list[tuple[str, int, str]]) -> tuple[FileNote, ...]:
    return tuple(FileNote(file, index, text) for file, index, text in rows)


def next_steps(audit: Audit) -> list[NextStep]:
    """Returns what a user may want to do now, with the paths of this audit."""
    folder = shlex.quote(str(audit.out))
    steps = []
    if audit.verdict == "evidence":
        steps.append(
            NextStep(
                "Look at the flagged images. A watermark, a date stamp or a frame that part of the "
                "images carry gives evidence like a trigger.",
                f"ray-defense export {folder} --flagged --as folder --out flagged-images",
            )
        )
        steps.append(
            NextStep(
                "Take the images that are not flagged; files that could not be read stay out.",
                f"ray-defense export {folder} --kept --as folder --out kept-images",
            )
        )
        steps.append(
            NextStep(
                "Train a model on what is not flagged.",
                f"ray-defense defend {folder} --method d-st",
            )
        )
    steps.append(NextStep("Check that nobody changed this audit.", f"ray-defense verify {folder}"))
    return steps
