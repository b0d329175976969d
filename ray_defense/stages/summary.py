"""The content of `result.json`, gathered from the artifacts of a finished run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_defense.defenses import DEFENSES
from ray_defense.stages.decide import SPLIT, VERDICT_FILE
from ray_defense.stages.evaluation import EVALUATION
from ray_defense.stages.usefulness import why_useless
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_json
from ray_defense.store.record import TIMING

_NOTES = {  # the file of each stage's artifact that holds notes
    "ssba_encoder": "metrics.json",
    "ingest": "dataset.json",
    "probe": "metrics.json",
    "probe_cross_entropy": "metrics.json",
    "split": "summary.json",
    "d_br": "metrics.json",
}


def notes_of(artifacts: Mapping[str, Artifact]) -> list[str]:
    """Returns what a reader should doubt, from all stages before the evaluation."""
    folders = {stage: artifact.path for stage, artifact in artifacts.items()}
    return [*notes_of_stages(folders), *useless_models(artifacts).values()]


def notes_of_stages(folders: Mapping[str, Path]) -> list[str]:
    """Returns what the stages themselves noted, from the directory of each stage's artifact."""
    notes: list[str] = []
    for stage, file in _NOTES.items():
        if stage in folders:
            notes.extend(read_checked_json(folders[stage] / file)["notes"])
    return notes


def useless_models(artifacts: Mapping[str, Artifact]) -> dict[str, str]:
    """Returns the defended models that should not be used, by name, and why."""
    useless: dict[str, str] = {}
    split = artifacts.get(SPLIT)
    if split is None:
        return useless
    counts = read_checked_json(split.path / "summary.json")["trusted_class_counts"]
    for name in DEFENSES:
        if name in artifacts:
            reason = why_useless(name, artifacts[name], counts)
            if reason is not None:
                useless[name] = reason
    return useless


def _verdict_of(artifacts: Mapping[str, Artifact]) -> str | None:
    split = artifacts.get(SPLIT)
    if split is None or not split.has_file(VERDICT_FILE):
        return None
    verdict: str = read_checked_json(split.path / VERDICT_FILE)["verdict"]
    return verdict


def summarize_run(recipe_name: str, seed: int, artifacts: Mapping[str, Artifact]) -> dict[str, Any]:
    """Returns the content of `result.json` but for the report.

    Args:
        recipe_name: The name of the recipe.
        seed: Of the run.
        artifacts: The finished artifacts by stage, the evaluation among them.
    """
    evaluation = read_checked_json(artifacts[EVALUATION].path / "evaluation.json")
    versions = artifacts[EVALUATION].versions
    notes = notes_of(artifacts) + evaluation["notes"]
    for stage, artifact in artifacts.items():
        if artifact.versions != versions:
            notes.append(
                f"{stage} was made with other versions than the evaluation: "
                f"see {artifact.path / TIMING}"
            )
    return {
        "recipe": recipe_name,
        "seed": seed,
        "score": evaluation["score"],
        "models": evaluation["models"],
        "weak_attack": evaluation["weak_attack"],
        "seconds": {stage: artifact.seconds for stage, artifact in artifacts.items()},
        "artifacts": {stage: str(artifact.path) for stage, artifact in artifacts.items()},
        "report": "",
        "versions": versions,
        "notes": notes,
        "verdict": _verdict_of(artifacts),
    }
