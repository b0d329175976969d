"""truth (opened), test set, models --evaluation--> every number of the table.

Nothing that it makes goes back into a defense.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_defense.core.checks import check_at_least
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from ray_defense.data.sources.protocol import AttackedSource, Source
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import FunctionWork, Step
from ray_defense.models.protocol import Model
from ray_defense.stages.attacker.prepared_attack import PreparedAttack
from ray_defense.stages.context import PlanContext
from ray_defense.stages.ingest import check_source_unchanged, source_identity
from ray_defense.stages.relapse import RelapseConfig, RelapseInputs, draw_relapse_samples
from ray_defense.store.artifacts import Artifact, Store
from ray_defense.store.checked_files import read_checked_json
from ray_defense.training.normalization import Normalization

if TYPE_CHECKING:
    import pyarrow as pa

    from ray_defense.store.truth import Truth

EVALUATION = "evaluation"
VERSION = 5
SAMPLES = "samples.parquet"
WEAK_ASR = 0.85  # the paper's tables leave out attacks under this ASR of the backdoored model


@dataclass(frozen=True)
class EvaluationConfig:
    """How the test set is passed through the models."""

    batch_size: int = 500
    cpus: int = 2  # threads of torch
    relapse: RelapseConfig = RelapseConfig()

    def __post_init__(self) -> None:
        check_at_least("evaluation.batch_size", self.batch_size, 1)
        check_at_least("evaluation.cpus", self.cpus, 1)


@dataclass(frozen=True)
class TrainedModel:
    """A model to be measured: the step that trains it, and its network."""

    step: Step
    network: Model
    title: str  # how tables and reports call the model
    normalization: Normalization | None = None  # None: that of the plan


@dataclass(frozen=True)
class MeasuredModel:
    """A trained model, its network and its title."""

    artifact: Artifact
    network: Model
    title: str
    normalization: Normalization


@dataclass(frozen=True)
class EvaluationInputs:
    """What the evaluation takes."""

    config: EvaluationConfig
    seed: int
    suspect: Artifact
    split: Artifact | None
    models: Mapping[str, MeasuredModel]
    source: Source
    identity: str  # of the test files when the evaluation was planned
    attack: PreparedAttack | None


def evaluation_step(
    config: EvaluationConfig,
    suspect: Step,
    split: Step | None,
    *,
    models: Mapping[str, TrainedModel],
    source: Source,
    attack: PreparedAttack | None,
    asset: Step | None,
    context: PlanContext,
) -> Step:
    """Returns the step that measures models and the split against test set and truth.

    Its key names the test files as they are now; ask again once a long training is over.

    Args:
        config: How the test set is passed through the models.
        suspect: The step of the dataset.
        split: The step of its split; None for the models alone.
        models: The models by name ("backdoored", "d_br", ...).
        source: Where the test set comes from.
        attack: Our attack on the dataset; without one there is no ASR, and no truth either unless
            the source is an `AttackedSource`. What needs them is null.
        asset: The step of the attack's asset, where there is one.
        context: The surroundings of the plan.
    """
    needs = {"suspect": suspect}
    for name, model in models.items():
        needs[name] = model.step
    if split is not None:
        needs["split"] = split
    if asset is not None:
        needs["asset"] = asset
    identity = source_identity(source, "test")
    artifact = context.locate(
        EVALUATION,
        VERSION,
        config,
        needs,
        source=source,
        identity=identity,
        attack=None if attack is None else attack.attack,
        normalization=context.normalization,
    )
    measured = {}
    for name, model in models.items():
        normalization = model.normalization or context.normalization
        measured[name] = MeasuredModel(
            model.step.artifact, model.network, model.title, normalization=normalization
        )
    inputs = EvaluationInputs(
        config=config,
        seed=context.seed,
        suspect=suspect.artifact,
        split=None if split is None else split.artifact,
        models=measured,
        source=source,
        identity=identity,
        attack=attack,
    )
    function = partial(_evaluate, inputs, context.store)
    return Step(artifact, needs=tuple(needs.values()), work=FunctionWork(function))


def _evaluate(
    inputs: EvaluationInputs, store: Store, artifact: Artifact, executor: Executor
) -> None:
    """Writes `evaluation.json` and, with a split, `samples.parquet`."""
    from ray_defense.data.table_file import write_table
    from ray_defense.store.truth import unseal

    truth = unseal(store, inputs.suspect.key) if _has_truth(inputs) else None
    models, num_rejected = _measure_models(inputs, truth, executor)
    check_source_unchanged(inputs.source, "test", inputs.identity)
    notes = []
    if num_rejected:
        notes.append(f"{num_rejected} test samples were rejected and are in no rate")
    evaluation: dict[str, Any] = {
        "models": models,
        "weak_attack": _is_weak(inputs.attack, models),
        "num_poisoned": None if truth is None else int(truth.poisoned.sum()),
        "num_cover": None if truth is None else int(truth.cover.sum()),
        "score": None,
        "notes": notes,
    }
    if inputs.split is not None:
        table = sample_table(inputs.split, truth)
        write_table(artifact.work / SAMPLES, table)
        summary = read_checked_json(inputs.split.path / "summary.json")
        evaluation["score"] = {
            **quality_of_table(table),
            "trusted_class_counts": summary["trusted_class_counts"],
        }
    write_json(artifact.work / "evaluation.json", evaluation)


def _has_truth(inputs: EvaluationInputs) -> bool:
    """Returns whether somebody knows which samples are poisoned: we, or who made the source."""
    return inputs.attack is not None or isinstance(inputs.source, AttackedSource)


def _measure_models(
    inputs: EvaluationInputs, truth: "Truth | None", executor: Executor
) -> tuple[dict[str, Any], int]:
    """Returns the rates of every model, and how many test samples were rejected."""
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.stages.model_rates import Measurement, measure_model, model_rates

    num_classes = SuspectDataset(inputs.suspect.path).num_classes
    relapse = _relapse_inputs(inputs, truth)
    measurements = []
    for model in inputs.models.values():
        measurement = Measurement(
            network=model.network,
            weights=weight_files(model.artifact),
            source=inputs.source,
            num_classes=num_classes,
            attack=inputs.attack,
            normalization=model.normalization,
            batch_size=inputs.config.batch_size,
            num_threads=inputs.config.cpus,
            relapse=relapse,
        )
        measurements.append(measurement)
    counts_of_models = executor.map(measure_model, measurements)
    models = {}
    num_rejected = 0
    for (name, model), counts in zip(inputs.models.items(), counts_of_models, strict=True):
        models[name] = {"title": model.title, **model_rates(counts, relapse is not None)}
        num_rejected = counts[0].num_rejected
    return models, num_rejected


def _relapse_inputs(inputs: EvaluationInputs, truth: "Truth | None") -> RelapseInputs | None:
    """Returns what fine-tuning takes; None where nobody asks for it, or knows what is poisoned."""
    config = inputs.config.relapse
    if (
        inputs.attack is None
        or not config.num_poisoned
        or truth is None
        or not truth.poisoned.any()
    ):
        return None
    index = draw_relapse_samples(config, inputs.seed, truth)
    return RelapseInputs(config, inputs.seed, inputs.suspect.path, index)


def _is_weak(attack: PreparedAttack | None, models: Mapping[str, Any]) -> bool | None:
    """Returns whether the attack is weak; None if that was not measured."""
    if attack is None or "backdoored" not in models:
        return None
    asr = models["backdoored"]["asr"]
    return None if asr is None else asr < WEAK_ASR


def weight_files(trained: Artifact) -> tuple[Path, ...]:
    """Returns the file of the kept model, then the files of its rounds in order."""
    rounds = sorted((trained.path / "rounds").glob("*.safetensors"))
    return (trained.path / "model.safetensors", *rounds)


def sample_table(split: Artifact, truth: "Truth | None") -> "pa.Table":
    """Returns what is known of each sample.

    Args:
        split: The split, with the scores it was made from.
        truth: Where we poisoned the data ourselves.

    Returns:
        Columns index, score, split and, with a truth, poisoned, cover and true_label.
    """
    import pyarrow as pa

    from ray_defense.data.split_table import read_split

    rows = read_split(split.path)
    columns = {"index": rows.index, "score": rows.score, "split": rows.part.tolist()}
    if truth is not None:
        order = np.searchsorted(truth.index, rows.index)
        columns["poisoned"] = truth.poisoned[order]
        columns["cover"] = truth.cover[order]
        columns["true_label"] = truth.true_label[order]
    return pa.table(columns)


def quality_of_table(table: "pa.Table") -> dict[str, float | None]:
    """Returns the quality of the scores and the split in a table of samples."""
    from ray_defense.stages.split_quality import split_quality

    poisoned = None
    if "poisoned" in table.column_names:
        poisoned = table["poisoned"].to_numpy()
    part = np.array(table["split"].to_pylist())
    return split_quality(table["score"].to_numpy(), part, poisoned)


def judge_trace(
    trace: Artifact, suspect: Artifact, decide: Any, store: Store
) -> list[dict[str, Any]]:
    """Returns, for each epoch of a score trace, its number and the quality of its scores.

    Args:
        trace: The scores after each epoch of a probe (see `studies.score_trace`).
        suspect: The dataset that was scored.
        decide: One of DECISIONS, which splits the scores.
        store: Where the truth is sealed.

    Raises:
        InputError: For another dataset's trace, or where nobody poisoned the dataset for us.
    """
    from ray_defense.data.table_file import read_table
    from ray_defense.stages.split_quality import split_quality
    from ray_defense.store.truth import unseal

    if trace.inputs["suspect"] != suspect.key:
        raise InputError(
            f"{trace.path} is of the dataset {trace.inputs['suspect']}, not of {suspect.key}: "
            "give the trace of this one"
        )
    truth = unseal(store, suspect.key)
    table = read_table(trace.path / "scores.parquet")
    epochs = table["epoch"].to_numpy()
    judged = []
    for epoch in np.unique(epochs):
        is_epoch = epochs == epoch
        index = table["index"].to_numpy()[is_epoch]
        scores = table["score"].to_numpy()[is_epoch]
        part = decide.split(scores).part_names()
        poisoned = truth.poisoned[np.searchsorted(truth.index, index)]
        judged.append({"epoch": int(epoch), **split_quality(scores, part, poisoned)})
    return judged
