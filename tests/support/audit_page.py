"""The data of an audit page, as an audit of a folder of photographs gives them."""

import dataclasses
from typing import Any

import numpy as np

from ray_defense.reports.audit_page import (
    AuditPageData,
    DuplicateGroup,
    FileNote,
    FlaggedSample,
    NextStep,
    PointMap,
    SamplePictures,
)

CLASS_NAMES = ("airplane", "bird", "cat", "deer", "dog", "frog", "horse", "ship")
NUM_SAMPLES = 2000
NUM_FLAGGED = 90
SHIP = 7
COLUMN_QUESTIONS = {
    "mirror": "Is this picture handed, where photographs are not?",
    "fct_draws": "How far do features move under random transforms?",
    "grow": "Is it like the finds of another detector?",
    "spectral_signatures": "Does it lie along the main direction of its label?",
}
VERDICT = {
    "verdict": "evidence",
    "reasons": [],
    "false_discovery_rate": 0.05,
    "alarm_level": 0.01,
    "labels_suspected": [SHIP],
    "num_samples": NUM_SAMPLES,
    "num_flagged": NUM_FLAGGED,
    "num_poisoned": {"low": 81, "high": 90},
    "detectors_agree": ["mirror", "grow"],
    "columns": [
        {
            "column": "mirror",
            "kind": "antisymmetric",
            "assessable": True,
            "reason": None,
            "gives_evidence": True,
            "num_flagged": 74,
            "middle_accuracy": 0.52,
            "coherence": None,
            "auroc_of_flagged": 0.991,
            "agrees": True,
        },
        {
            "column": "fct_draws",
            "kind": "one_sided",
            "assessable": True,
            "reason": None,
            "gives_evidence": False,
            "num_flagged": 0,
            "middle_accuracy": None,
            "coherence": None,
            "auroc_of_flagged": 0.7,
            "agrees": False,
        },
        {
            "column": "grow",
            "kind": "grown",
            "assessable": True,
            "reason": None,
            "gives_evidence": True,
            "num_flagged": 88,
            "middle_accuracy": None,
            "coherence": 0.98,
            "auroc_of_flagged": 0.999,
            "agrees": True,
        },
        {
            "column": "spectral_signatures",
            "kind": "one_sided",
            "assessable": False,
            "reason": "too few samples in a class",
            "gives_evidence": False,
            "num_flagged": 0,
            "middle_accuracy": None,
            "coherence": None,
            "auroc_of_flagged": None,
            "agrees": False,
        },
    ],
    "tests": [],
    "power": {
        "canaries": [
            {
                "family": "badnets",
                "keeps_label": False,
                "num_planted": 50,
                "num_found": 47,
                "num_others": 2,
                "evidence": True,
            },
            {
                "family": "blend_signal",
                "keeps_label": False,
                "num_planted": 50,
                "num_found": 39,
                "num_others": 1,
                "evidence": True,
            },
            {
                "family": "sig",
                "keeps_label": True,
                "num_planted": 50,
                "num_found": 0,
                "num_others": 0,
                "evidence": False,
            },
        ]
    },
}


def noise_picture(seed: int, side: int) -> np.ndarray:
    """Returns noise, uint8 [side, side, 3], which no picture format makes smaller."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def photograph(seed: int, height: int, width: int) -> np.ndarray:
    """Returns a landscape of two colors with a sun, uint8 [height, width, 3]."""
    draw = np.random.default_rng(seed)
    sky_3 = draw.uniform(90, 230, 3)
    ground_3 = draw.uniform(20, 140, 3)
    columns_1W = np.linspace(0, 1, width)[None]
    rows_H1 = np.linspace(0, 1, height)[:, None]
    horizon_1W = 0.55 + 0.08 * np.sin(5 * columns_1W + seed)
    share_HW1 = (1 / (1 + np.exp(-40 * (rows_H1 - horizon_1W))))[..., None]
    picture = (1 - share_HW1) * sky_3 * (1 - 0.3 * rows_H1[..., None]) + share_HW1 * ground_3
    center = draw.uniform(0.1, 0.9, 2)
    distance_HW = np.hypot(rows_H1 - 0.5 * center[0], columns_1W - center[1])
    picture += 90 * np.exp(-((8 * distance_HW) ** 2))[..., None]
    picture += draw.normal(0, 6, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def stamped_pictures(seed: int) -> SamplePictures:
    """Returns a photograph with a white square in its corner, and the same at 32 pixels."""
    original = photograph(seed, 96, 128)
    original[-16:-4, -16:-4] = 255
    rows = np.linspace(0, 95, 32).astype(int)
    columns = np.linspace(0, 127, 32).astype(int)
    working = original[rows][:, columns]
    return SamplePictures(original, working, np.ascontiguousarray(working[:, ::-1]))


def flagged_samples(labels: np.ndarray, score: np.ndarray) -> tuple[FlaggedSample, ...]:
    """Returns the samples of the highest scores, described; the first 40 with pictures."""
    flagged = []
    for rank, index in enumerate(np.argsort(-score, kind="stable")[:NUM_FLAGGED].tolist(), 1):
        name = CLASS_NAMES[labels[index]]
        sample = FlaggedSample(
            file=f"train/{name}/{name}_{index:05}.jpg",
            class_name=name,
            index=index,
            rank=rank,
            score=float(score[index]),
            p_value=rank * 1e-4,
            reasons="mirror; grow" if rank % 3 else "grow",
            duplicates=1 if rank in (4, 9) else None,
            pictures=stamped_pictures(index) if rank <= 40 else None,
        )
        flagged.append(sample)
    return tuple(flagged)


def audit_page_data(**changes: Any) -> AuditPageData:
    """Returns the data of 2,000 photographs, 90 of which are flagged, nearly all of them ships."""
    draw = np.random.default_rng(5)
    labels = np.arange(NUM_SAMPLES) % len(CLASS_NAMES)
    stamped = np.flatnonzero(labels == SHIP)[:82]
    score = draw.normal(0, 1, NUM_SAMPLES)
    score[stamped] += 6
    flagged = flagged_samples(labels, score)
    split = np.full(NUM_SAMPLES, "uncertain", dtype=object)
    split[score < -0.8] = "trusted"
    is_flagged = np.zeros(NUM_SAMPLES, bool)
    is_flagged[[sample.index for sample in flagged]] = True
    split[is_flagged] = "flagged"
    points = draw.normal(0, 1, (NUM_SAMPLES, 2))
    points[stamped] = 0.4 * points[stamped] + (3, 2)
    data = AuditPageData(
        verdict=VERDICT,
        notes=("The class “cat” has only 250 samples, so a small trigger in it may be missed.",),
        class_names=CLASS_NAMES,
        labels=labels,
        split=split,
        columns={
            "mirror": score,
            "fct_draws": draw.normal(0, 1, NUM_SAMPLES) + 0.2 * score,
            "grow": score + draw.normal(0, 0.5, NUM_SAMPLES),
            "spectral_signatures": draw.normal(0, 1, NUM_SAMPLES),
        },
        column_questions=COLUMN_QUESTIONS,
        flagged=flagged,
        transform="mirror image",
        maps=(
            PointMap(
                title="Principal components of the features",
                explanation="Samples that lie close together look alike to the probe. A cloud of "
                "flagged samples apart from the others is typical of one trigger.",
                points=points,
                flagged=is_flagged,
            ),
        ),
        duplicates=(
            DuplicateGroup(
                1, ("train/ship/ship_00031.jpg", "train/ship/copy.jpg"), ("ship", "ship")
            ),
            DuplicateGroup(2, ("train/cat/a.png", "train/dog/a.png"), ("cat", "dog")),
        ),
        rejected=(
            FileNote("train/frog/broken.jpg", 311, "does not decode: the file ends early"),
            FileNote("train/deer/movie.gif", 417, "animated"),
        ),
        conversions=(
            FileNote("train/bird/gray.png", 12, "grayscale to RGB"),
            FileNote("train/bird/gray2.png", 13, "grayscale to RGB"),
            FileNote("train/dog/alpha.png", 99, "transparency on white"),
        ),
        num_junk=3,
        next_steps=(
            NextStep(
                "Write the samples that are not flagged to a new folder; yours stays as it is.",
                "ray-defense export my-audit --kept --as folder --out clean",
            ),
            NextStep(
                "Train a model without the backdoor from all samples.",
                "ray-defense defend my-audit --method d-st",
            ),
        ),
        choices={
            "size": "32 pixels: the median side of the pictures is 96",
            "network": "small ResNet, 78 thousand weights: for 2,000 pictures of 32 pixels",
        },
        data_path="/data/photographs",
        date="2026-05-04 12:31:00 UTC",
        command="ray-defense audit /data/photographs --out my-audit",
        seconds=312.4,
        fingerprints={"Data": "1f0c" * 16, "Split": "9ab3" * 16},
        versions={"ray_defense": "0.9.0", "torch": "2.9.1"},
        configuration={"name": "audit", "seed": 0, "detect": {"detectors": ["mirror", "grow"]}},
    )
    return dataclasses.replace(data, **changes)


def named_audit_data(names: tuple[str, ...]) -> AuditPageData:
    """Returns data whose every text is one of some names."""
    texts = dict(zip(names, names, strict=True))
    number = len(names)
    flagged = []
    for index, name in enumerate(names):
        sample = FlaggedSample(
            file=name,
            class_name=name,
            index=index,
            rank=index + 1,
            score=1.0 / (index + 1),
            p_value=0.01,
            reasons=name,
            duplicates=index,
            pictures=SamplePictures(None, noise_picture(0, 4), noise_picture(1, 4)),
        )
        flagged.append(sample)
    notes = tuple(FileNote(name, None, name) for name in names)
    columns = [column | {"column": names[0], "reason": names[1]} for column in VERDICT["columns"]]
    canaries = [canary | {"family": names[0]} for canary in VERDICT["power"]["canaries"]]
    changes = {"columns": columns, "reasons": list(names[:6]), "power": {"canaries": canaries}}
    return audit_page_data(
        verdict=VERDICT | changes | {"labels_suspected": [0, 1]},
        notes=names[:6],
        class_names=names,
        labels=np.arange(number),
        split=np.full(number, "flagged"),
        columns={name: np.random.default_rng(0).random(number) for name in names},
        column_questions=texts,
        flagged=tuple(flagged),
        transform=names[0],
        maps=(),
        duplicates=(DuplicateGroup(1, names, names),),
        rejected=notes,
        conversions=notes,
        next_steps=tuple(NextStep(name, name) for name in names[:6]),
        choices=texts,
        data_path=names[0],
        date=names[1],
        command=names[2],
        fingerprints=texts,
        versions=texts,
        configuration=texts,
    )
