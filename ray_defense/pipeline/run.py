"""Runs a plan: makes what the store does not hold of it, up to some point."""

from dataclasses import replace
from typing import Any

from ray_defense.data.text import shortened
from ray_defense.execution.protocols import Executor
from ray_defense.execution.steps import Step, make_steps
from ray_defense.models.file_names import WEIGHTS
from ray_defense.pipeline.plan import Plan, Until, with_current_evaluation
from ray_defense.pipeline.user_model import load_line
from ray_defense.reports.detection import Detection
from ray_defense.reports.result import DefendedResult, Result
from ray_defense.stages.detector_models import CROSS_ENTROPY_PROBE
from ray_defense.stages.feature_map import feature_map_step
from ray_defense.stages.probe import PROBE
from ray_defense.stages.repaired import REPAIRED
from ray_defense.stages.report import REPORT, REPORT_FILE, report_step
from ray_defense.stages.summary import notes_of, summarize_run, useless_models
from ray_defense.store.artifacts import Artifact
from ray_defense.store.checked_files import read_checked_json


def run_plan(plan: Plan, executor: Executor, until: Until = "report") -> Plan:
    """Makes what is missing of a plan.

    Args:
        plan: The steps of a run.
        executor: Who does the work; it is not touched where nothing is missing.
        until: Where to stop. Up to "defended" nothing looks at truth or test set.

    Returns:
        The plan with its evaluation of the test files as they were met.

    Raises:
        InputError, RunError: As the stages do.
    """
    store = plan.context.store
    before = until if until in ("evidence", "split") else "defended"
    make_steps(plan.steps(before).values(), store, executor)
    if until not in ("evaluation", "report"):
        return plan
    plan = with_current_evaluation(plan)
    make_steps(plan.steps("evaluation").values(), store, executor)
    if until == "report":
        make_steps([plan_report(plan)], store, executor)
    return plan


def plan_report(plan: Plan) -> Step:
    """Returns the step that writes the report of a plan."""
    recipe = plan.recipe
    return report_step(
        recipe,
        recipe.detect.detectors[0],
        recipe.source,
        needs=plan.steps("evaluation"),
        context=plan.context,
    )


def plan_feature_map(plan: Plan) -> Step | None:
    """Returns the step that maps the features of the probe; None where no detector has a probe."""
    for role in (CROSS_ENTROPY_PROBE, PROBE):
        probe = plan.detection.steps.get(role)
        if probe is not None:
            return feature_map_step(
                plan.recipe.probe.model,
                probe,
                plan.dataset.step,
                split=plan.split,
                context=plan.context,
            )
    return None


def result_of(plan: Plan) -> Result:
    """Returns the numbers of a finished plan, its report among them."""
    recipe = plan.recipe
    report = plan_report(plan).artifact
    plain = summarize_run(recipe.name, recipe.seed, plan.artifacts())
    plain["report"] = str(report.path / REPORT_FILE)
    plain["seconds"][REPORT] = report.seconds
    plain["artifacts"][REPORT] = str(report.path)
    return Result.from_plain(plain)


def detection_of(plan: Plan) -> Detection:
    """Returns what detection says of a dataset, of a plan that was run up to its split."""
    from ray_defense.data.evidence_table import EVIDENCE_FILE, read_evidence
    from ray_defense.data.split_table import SPLIT_FILE, read_split
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.stages.decide import DECISION_FILE, VERDICT_FILE

    artifacts = plan.artifacts("split")
    split = artifacts["split"]
    evidence = plan.evidence.artifact
    table = read_split(split.path)
    dataset = SuspectDataset(plan.dataset.step.artifact.path)
    files = {
        EVIDENCE_FILE: str(evidence.path / EVIDENCE_FILE),
        SPLIT_FILE: str(split.path / SPLIT_FILE),
    }
    details: dict[str, Any] = {}
    if split.has_file(VERDICT_FILE):
        details = read_checked_json(split.path / VERDICT_FILE)
        for name in (DECISION_FILE, VERDICT_FILE):
            files[name] = str(split.path / name)
    return Detection(
        recipe=plan.recipe.name,
        seed=plan.recipe.seed,
        verdict=details.get("verdict"),
        flagged=table.members("flagged"),
        labels_suspected=tuple(details.get("labels_suspected", ())),
        power=details.get("power"),
        counts=_split_counts(split),
        files=files,
        notes=tuple(notes_of(artifacts)),
        columns={
            "index": table.index,
            "label": dataset.labels,
            "split": table.part,
            **read_evidence(evidence.path),
        },
        details=details,
    )


def _split_counts(split: Artifact) -> dict[str, int]:
    summary = read_checked_json(split.path / "summary.json")
    return {part: summary[f"num_{part}"] for part in ("trusted", "flagged", "uncertain")}


def defended_result_of(plan: Plan) -> DefendedResult:
    """Returns what is known of a plan that was run up to its defended models."""
    artifacts = plan.artifacts("defended")
    split = artifacts["split"]
    counts = _split_counts(split)
    files = {"split": str(split.path / "split.parquet")}
    trained = ["backdoored"] if plan.backdoored is not None else []
    useless = useless_models(artifacts)
    for model in [*trained, *plan.defenses]:
        if model not in useless:
            files[model] = str(artifacts[model].path / WEIGHTS)
    recipe = plan.recipe
    result = DefendedResult(
        recipe=recipe.name,
        seed=recipe.seed,
        counts=counts,
        files=files,
        notes=notes_of(artifacts),
    )
    return result if plan.repaired is None else _with_repaired(result, plan)


def _with_repaired(result: DefendedResult, plan: Plan) -> DefendedResult:
    """Returns a result with what became of the model that the user gave."""
    from ray_defense.data.suspect_dataset import SuspectDataset
    from ray_defense.stages.agreement import agreement_in_words

    assert plan.repaired is not None and plan.recipe.backdoored is not None
    artifact = plan.repaired.artifact
    metrics = read_checked_json(artifact.path / "metrics.json")
    dataset = SuspectDataset(plan.dataset.step.artifact.path)
    assert plan.recipe.given is not None
    names = [dataset.class_names[label] for label in plan.recipe.given.class_order]
    names = names or list(dataset.class_names)
    sentences = [
        f"the classes of the model are, in its order: {shortened(', '.join(names))}",
        agreement_in_words((metrics["before"], metrics["after"]), result.counts),
    ]
    is_of_use = any(defense in result.files for defense in plan.defenses)
    if not is_of_use:
        return replace(result, sentences=sentences)
    file = artifact.path / WEIGHTS
    return replace(
        result,
        files={**result.files, REPAIRED: str(file)},
        sentences=sentences,
        load_line=load_line(plan.recipe.backdoored.model, file, len(names)),
    )
