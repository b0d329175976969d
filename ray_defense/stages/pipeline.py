"""The whole path: source -> suspect dataset -> probe -> scores -> split -> defended models -> evaluation -> report."""

from dataclasses import dataclass
from typing import Any

from ray_defense.attacks import ATTACKS
from ray_defense.core.config import choice
from ray_defense.core.errors import Refused
from ray_defense.core.seams import Executor
from ray_defense.core.store import TIMING, Artifact, Store, read_json, write_json
from ray_defense.data.sources import SOURCES, Digits, check_labels
from ray_defense.defenses import DEFENSES, BackdoorRemoval, SecureTraining
from ray_defense.stages import attacker, backdoor, defend, evaluate, poison, probe, report, score, shard, split
from ray_defense.stages.attacker import Attacker
from ray_defense.stages.backdoor import Backdoor
from ray_defense.stages.context import Context, train_missing
from ray_defense.stages.evaluate import Evaluate
from ray_defense.stages.poison import Poison
from ray_defense.stages.probe import Probe
from ray_defense.stages.result import Result
from ray_defense.stages.score import Score
from ray_defense.stages.shard import Shard
from ray_defense.stages.split import Split
from ray_defense.training.views import NORMALIZATIONS, Normalization


@dataclass(frozen=True)
class Recipe:
    """A complete configuration; without an attack the source is taken as it is, and there is no truth to compare with."""

    name: str
    seed: int = 0
    source: Any = choice(SOURCES, default=Digits())
    attack: Any | None = choice(ATTACKS, default=None)
    attacker: Attacker = Attacker()
    poison: Poison = Poison()
    shard: Shard = Shard()
    normalization: Normalization = choice(NORMALIZATIONS, default=NORMALIZATIONS["cifar10"])
    probe: Probe = Probe()
    score: Score = Score()
    split: Split = Split()
    backdoor: Backdoor = Backdoor()
    d_br: BackdoorRemoval | None = choice({"d_br": DEFENSES["d_br"]}, default=BackdoorRemoval())
    d_st: SecureTraining | None = choice({"d_st": DEFENSES["d_st"]}, default=SecureTraining())
    evaluate: Evaluate = Evaluate()


def run(recipe: Recipe, store: Store, executor: Executor) -> Result:
    """Runs what is missing of `recipe` in `store` and returns its numbers, also written to `result.json` there."""
    context = Context(store, executor, recipe.seed, recipe.normalization)
    armed = recipe.attack and attacker.make(recipe.attack, recipe.attacker, recipe.shard, recipe.source, context)
    if armed is None:
        suspect = shard.run(recipe.shard, recipe.source, context)
    else:
        suspect = poison.run(recipe.poison, recipe.shard, recipe.source, armed, context)
    probed, trained = probe.job(recipe.probe, suspect, context), backdoor.job(recipe.backdoor, suspect, context)
    backdoored = trained.artifact
    train_missing(context, [probed, trained])
    scores = score.run(recipe.score, suspect, probed.artifact, recipe.probe.model, context)
    parts = split.run(recipe.split, suspect, scores, context)
    defended, jobs = {"backdoored": (recipe.backdoor.model, backdoored)}, []
    if recipe.d_br is not None:
        jobs.append(defend.removal_job(recipe.d_br, suspect, backdoored, parts, recipe.backdoor, context))
        defended["d_br"] = (recipe.backdoor.model, jobs[-1].artifact)
    if recipe.d_st is not None:
        jobs.append(defend.secure_training_job(recipe.d_st, suspect, parts, context))
        defended["d_st"] = (recipe.d_st.model, jobs[-1].artifact)
    train_missing(context, jobs)
    found = evaluate.run(recipe.evaluate, suspect, parts, defended, recipe.source, armed, context)
    stages = {"suspect": suspect, "probe": probed.artifact, "score": scores, "split": parts}
    stages |= {name: artifact for name, (_, artifact) in defended.items()} | {"evaluation": found}
    plain = summarize(recipe, stages)
    page = report.run(plain, recipe, recipe.score, recipe.source, stages, context)
    plain |= {"report": str(page.path / "report.html")}
    plain["seconds"]["report"], plain["artifacts"]["report"] = page.seconds, str(page.path)
    write_json(store.root / "result.json", plain)
    return Result.from_plain(plain)


def check(recipe: Recipe) -> None:
    """Raises Refused for what a late stage would refuse after hours of training: an empty split, a batch not shared evenly."""
    info, labels = recipe.source.info(), recipe.source.labels("train")
    check_labels(labels, info.num_classes)
    num_samples = len(labels)
    if recipe.attack is not None:
        recipe.attack.aim.relabel(labels[:0], info.num_classes)  # refuses a target class that the source does not have
    wanted = {"trusted": recipe.split.clean_fraction} if recipe.d_br or recipe.d_st else {}
    wanted |= {"poisoned": recipe.split.poison_fraction} if recipe.d_br else {}
    for name, fraction in wanted.items():
        if round(fraction * num_samples, 6) < 1:
            raise Refused(
                f"the {name} split would be empty: {fraction} of {num_samples} samples; raise the fractions of split, "
                "or leave the defenses out with --set d_br=none --set d_st=none"
            )
    for name in ("probe", "backdoor", "d_br", "d_st"):
        stage = getattr(recipe, name)
        if stage is not None and stage.batch_size % stage.workers.num_workers:
            raise Refused(f"{name}.batch_size {stage.batch_size} is not a multiple of its {stage.workers.num_workers} workers")


def summarize(recipe: Recipe, stages: dict[str, Artifact]) -> dict[str, Any]:
    """Returns the content of `result.json` but for the report."""
    evaluation = read_json(stages["evaluation"].path / "evaluation.json")
    notes = [
        *read_json(stages["suspect"].path / "dataset.json")["notes"],
        *read_json(stages["probe"].path / "metrics.json")["notes"],
        *read_json(stages["split"].path / "summary.json")["notes"],
        *evaluation["notes"],
        *(
            f"{name} was made with other versions than the evaluation: see {stage.path / TIMING}"
            for name, stage in stages.items()
            if stage.versions != stages["evaluation"].versions
        ),
    ]
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "score": evaluation["score"],
        "weak_attack": evaluation.get("weak_attack"),
        **{name: evaluation.get(name) for name in ("backdoored", "d_br", "d_st")},
        "seconds": {name: stage.seconds for name, stage in stages.items()},
        "artifacts": {name: str(stage.path) for name, stage in stages.items()},
        "report": "",
        "versions": stages["evaluation"].versions,
        "notes": notes,
    }
