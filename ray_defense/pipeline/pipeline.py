"""The whole path: source -> suspect dataset -> probe -> scores -> split -> defended models -> evaluation -> report."""

from dataclasses import dataclass, replace
from typing import Any

from ray_defense.attacks import ATTACKS
from ray_defense.core.config import choice
from ray_defense.core.errors import Failed, Refused
from ray_defense.core.files import read_json
from ray_defense.data.sources import SOURCES, Digits, check_labels
from ray_defense.defenses import DEFENSES, BackdoorRemoval, SecureTraining
from ray_defense.execution.protocols import Executor, TrainJob
from ray_defense.reports.result import Defended, Result
from ray_defense.stages import backdoored as backdoor
from ray_defense.stages import decide as split
from ray_defense.stages import defend, poison, probe, report
from ray_defense.stages import detect as score
from ray_defense.stages import evaluation as evaluate
from ray_defense.stages import ingest as shard
from ray_defense.stages.attacker import prepare as attacker
from ray_defense.stages.attacker.material import Armed
from ray_defense.stages.attacker.prepare import Attacker
from ray_defense.stages.backdoored import Backdoor
from ray_defense.stages.context import Context, train_missing
from ray_defense.stages.decide import Split
from ray_defense.stages.detect import Score
from ray_defense.stages.evaluation import Evaluate
from ray_defense.stages.ingest import Shard
from ray_defense.stages.poison import Poison
from ray_defense.stages.probe import Probe
from ray_defense.store.artifacts import TIMING, Artifact, Store
from ray_defense.training.views import NORMALIZATIONS, Normalization

CHANGED = "the files of the source changed while the run was under way: run again"


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
    backdoor: Backdoor | None = Backdoor()  # None: only the score and its split are wanted
    d_br: BackdoorRemoval | None = choice({"d_br": DEFENSES["d_br"]}, default=BackdoorRemoval())
    d_st: SecureTraining | None = choice({"d_st": DEFENSES["d_st"]}, default=SecureTraining())
    evaluate: Evaluate = Evaluate()


@dataclass(frozen=True)
class Plan:
    """Where everything that a run makes stands, made or not, and the training jobs that make some of it."""

    armed: Armed | None
    suspect: Artifact
    probe: TrainJob
    score: Artifact
    split: Artifact
    backdoored: TrainJob | None
    d_br: TrainJob | None
    d_st: TrainJob | None
    evaluation: Artifact

    @property
    def jobs(self) -> dict[str, TrainJob]:
        """The training jobs by stage."""
        jobs = {"probe": self.probe, "backdoored": self.backdoored, "d_br": self.d_br, "d_st": self.d_st}
        return {name: job for name, job in jobs.items() if job is not None}

    @property
    def stages(self) -> dict[str, Artifact]:
        """The artifacts by stage, in the order in which they are made."""
        trained = {name: job.artifact for name, job in self.jobs.items()}
        material = self.armed and self.armed.material
        first = {material.artifact.stage: material.artifact} if material else {}
        first |= {"suspect": self.suspect, "probe": trained.pop("probe"), "score": self.score, "split": self.split}
        return first | trained | {"evaluation": self.evaluation}


def plan(recipe: Recipe, context: Context) -> Plan:
    """Returns the plan of `recipe`; makes nothing."""
    armed = recipe.attack and attacker.arm(recipe.attack, recipe.attacker, recipe.shard, recipe.source, context)
    if armed is None:
        suspect = shard.place(recipe.shard, recipe.source, context)
    else:
        suspect = poison.place(recipe.poison, recipe.shard, recipe.source, armed, context)
    probed = probe.job(recipe.probe, suspect, context)
    scores = score.place(recipe.score, suspect, probed.artifact, context)
    parts = split.place(recipe.split, suspect, scores, context)
    backdoored = recipe.backdoor and backdoor.job(recipe.backdoor, suspect, context)
    d_br = recipe.d_br and defend.removal_job(recipe.d_br, suspect, backdoored.artifact, parts, recipe.backdoor, context)
    d_st = recipe.d_st and defend.secure_training_job(recipe.d_st, suspect, parts, context)
    models = _models(recipe, backdoored, d_br, d_st)
    found = evaluate.place(recipe.evaluate, suspect, parts, models, recipe.source, armed, context)
    return Plan(armed, suspect, probed, scores, parts, backdoored, d_br, d_st, found)


def _models(recipe: Recipe, *jobs: TrainJob | None) -> dict[str, tuple[Any, Artifact]]:
    """Returns what is evaluated: the result's name -> (model configuration, artifact)."""
    built = {"backdoored": recipe.backdoor, "d_br": recipe.backdoor, "d_st": recipe.d_st}
    return {job.artifact.stage: (built[job.artifact.stage].model, job.artifact) for job in jobs if job is not None}


def run(recipe: Recipe, store: Store, executor: Executor) -> Result:
    """Runs what is missing of `recipe` in `store`, its report too, and returns its numbers."""
    context = Context(store, executor, recipe.seed, recipe.normalization)
    made = make(recipe, context)
    plain = summarize(recipe, made.stages)
    page = report.run(plain, recipe, recipe.score, recipe.source, made.stages, context)
    plain |= {"report": str(page.path / "report.html")}
    plain["seconds"]["report"], plain["artifacts"]["report"] = page.seconds, str(page.path)
    return Result.from_plain(plain)


def run_defended(recipe: Recipe, store: Store, executor: Executor) -> Defended:
    """Runs what is missing of `recipe` up to the defended models and returns what is known by then."""
    context = Context(store, executor, recipe.seed, recipe.normalization)
    made = make_defended(recipe, context)
    summary = read_json(made.split.path / "summary.json")
    counts = {name: summary[f"num_{name}"] for name in ("trusted", "poisoned", "uncertain")}
    models = {name: job.artifact.path / "model.safetensors" for name, job in made.jobs.items() if name != "probe"}
    files = {"split": made.split.path / "split.parquet"} | models
    return Defended(recipe.name, recipe.seed, counts, {name: str(path) for name, path in files.items()}, _notes(made.stages))


def make(recipe: Recipe, context: Context) -> Plan:
    """Makes what is missing of `recipe` but its report; returns where all of it stands, of the test files as they were met.

    Raises as `make_defended`.
    """
    made = make_defended(recipe, context)
    models = _models(recipe, made.backdoored, made.d_br, made.d_st)
    found = evaluate.run(recipe.evaluate, made.suspect, made.split, models, recipe.source, made.armed, context)
    return replace(made, evaluation=found)


def make_defended(recipe: Recipe, context: Context) -> Plan:
    """Makes what is missing of `recipe` up to the defended models, without a look at truth or test set; returns the plan.

    Raises Failed where the training files are no longer those that the plan was made of.
    """
    made = plan(recipe, context)
    if make_suspect(recipe, context).key != made.suspect.key:
        raise Failed(CHANGED)
    train_missing(context, [job for job in (made.probe, made.backdoored) if job is not None])
    score.run(recipe.score, made.suspect, made.probe.artifact, recipe.probe.model, context)
    split.run(recipe.split, made.suspect, made.score, context)
    train_missing(context, [job for job in (made.d_br, made.d_st) if job is not None])
    return made


def make_suspect(recipe: Recipe, context: Context) -> Artifact:
    """Makes the suspect dataset, and before it what the attack needs."""
    if recipe.attack is None:
        return shard.run(recipe.shard, recipe.source, context)
    armed = attacker.make(recipe.attack, recipe.attacker, recipe.shard, recipe.source, context)
    return poison.run(recipe.poison, recipe.shard, recipe.source, armed, context)


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
    if recipe.d_br is not None and recipe.backdoor is None:
        raise Refused("d_br repairs the backdoored model: set backdoor, or leave d_br out with --set d_br=none")
    for name in ("probe", "backdoor", "d_br", "d_st"):
        stage = getattr(recipe, name)
        if stage is not None and stage.batch_size % stage.workers.num_workers:
            raise Refused(f"{name}.batch_size {stage.batch_size} is not a multiple of its {stage.workers.num_workers} workers")


def _notes(stages: dict[str, Artifact]) -> list[str]:
    """Returns the notes of all stages before the evaluation."""
    files = {"encoder": "metrics.json", "suspect": "dataset.json", "probe": "metrics.json", "split": "summary.json"}
    return [note for name, file in files.items() if name in stages for note in read_json(stages[name].path / file)["notes"]]


def summarize(recipe: Recipe, stages: dict[str, Artifact]) -> dict[str, Any]:
    """Returns the content of `result.json` but for the report."""
    evaluation = read_json(stages["evaluation"].path / "evaluation.json")
    notes = [
        *_notes(stages),
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
