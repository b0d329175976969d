"""The path: source -> suspect dataset -> probe -> evidence -> split -> defenses -> evaluation.

Planning names every artifact of a run and makes none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Literal

from ray_defense.core.errors import InputError
from ray_defense.data.sources.protocol import AttackedSource, Source, VouchedSource
from ray_defense.defenses.clean_data import takes_clean_share
from ray_defense.execution.steps import Step
from ray_defense.pipeline.recipe import Recipe
from ray_defense.stages.attacker.prepare import prepare_attack
from ray_defense.stages.attacker.prepared_attack import PreparedAttack
from ray_defense.stages.backdoored import BACKDOORED, BACKDOORED_TITLE, backdoored_step
from ray_defense.stages.canaries import decide_on_copy, plan_power
from ray_defense.stages.clean_share import clean_share_step
from ray_defense.stages.context import PlanContext
from ray_defense.stages.decide import SPLIT, decide_step
from ray_defense.stages.defend import BackdooredModel, defend_step
from ray_defense.stages.detect import PlannedDetection, plan_detection
from ray_defense.stages.detector_models import RecipeModels
from ray_defense.stages.evaluation import EVALUATION, TrainedModel, evaluation_step
from ray_defense.stages.given_model import given_step
from ray_defense.stages.ingest import ingest_step
from ray_defense.stages.poison import attacked_step, poison_step
from ray_defense.stages.pretrained import pretrained_step
from ray_defense.stages.probe import probe_step
from ray_defense.stages.repaired import REPAIRED, repaired_step
from ray_defense.store.artifacts import Artifact, Store

Until = Literal["evidence", "split", "defended", "evaluation", "report"]


@dataclass(frozen=True)
class PlannedDataset:
    """The step of the suspect dataset, and the attack that poisons it."""

    step: Step
    attack: PreparedAttack | None = None
    asset: Step | None = None  # what the attack needs, where it needs something


@dataclass(frozen=True)
class DefensePlan:
    """The steps of a run up to the defended models: none looks at truth or test set."""

    recipe: Recipe
    context: PlanContext
    dataset: PlannedDataset
    probe: Step  # on the path where a detector needs it
    detection: PlannedDetection
    split: Step
    backdoored: Step | None
    clean: Step | None  # the clean share of the source, where a defense takes it
    defenses: Mapping[str, Step]  # by name
    repaired: Step | None  # a given model after its repair, as the user had it

    @property
    def evidence(self) -> Step:
        """The step of the evidence of all detectors."""
        return self.detection.evidence


@dataclass(frozen=True)
class Plan(DefensePlan):
    """The steps of a run, but for its report."""

    evaluation: Step

    def steps(self, until: Until = "evaluation") -> dict[str, Step]:
        """Returns the steps up to some point by stage, in the order of the path."""
        on_path: dict[str, Step] = {}
        if self.dataset.asset is not None:
            on_path[self.dataset.asset.artifact.stage] = self.dataset.asset
        on_path[self.dataset.step.artifact.stage] = self.dataset.step
        on_path.update(self.detection.steps)
        if until != "evidence":
            on_path[SPLIT] = self.split
        if until not in ("evidence", "split"):
            if self.backdoored is not None:
                on_path[BACKDOORED] = self.backdoored
            if self.clean is not None:
                on_path[self.clean.artifact.stage] = self.clean
            on_path.update(self.defenses)
            if self.repaired is not None:
                on_path[REPAIRED] = self.repaired
        if until in ("evaluation", "report"):
            on_path[EVALUATION] = self.evaluation
        return on_path

    def artifacts(self, until: Until = "evaluation") -> dict[str, Artifact]:
        """Returns the artifacts up to some point by stage, in the order of the path."""
        return {stage: step.artifact for stage, step in self.steps(until).items()}


def plan_recipe(recipe: Recipe, store: Store) -> Plan:
    """Returns the plan of a recipe in a store: the path, written once."""
    context = PlanContext(store, recipe.seed, recipe.normalization)
    dataset = plan_dataset(recipe, context)
    suspect = dataset.step
    backdoored = None
    repairable = None
    if recipe.backdoored is not None and recipe.given is None:
        backdoored = backdoored_step(recipe.backdoored, suspect, context)
        repairable = BackdooredModel(backdoored, recipe.backdoored)
    pretrained = _plan_pretrained(recipe, context)
    shared = RecipeModels(recipe.probe, repairable, pretrained)
    detection = plan_detection(recipe.detect, suspect, shared, context)
    first_vouched = _first_vouched(recipe)
    power = None
    if recipe.canaries.sizes:
        decide_copy = partial(
            decide_on_copy,
            recipe.detect,
            recipe.decide,
            recipe.probe,
            context,
            first_vouched=first_vouched,
            pretrained=pretrained,
        )
        power = plan_power(recipe.canaries, suspect, decide_copy, context, first_vouched)
    detector = recipe.detect.detectors[0].name
    split = decide_step(
        recipe.decide,
        detector,
        suspect,
        evidence=detection.evidence,
        context=context,
        detectors=recipe.detect.detectors,
        power=power,
        first_vouched=first_vouched,
    )
    if recipe.backdoored is not None and recipe.given is not None:
        network = recipe.backdoored.model
        backdoored = given_step(recipe.given, network, suspect, split, context=context)
        repairable = BackdooredModel(backdoored, recipe.backdoored, recipe.given.normalization)
    clean = plan_clean_share(recipe, context)
    defenses = {}
    for defense in recipe.defenses:
        defenses[defense.name] = defend_step(
            defense, suspect, split, backdoored=repairable, context=context, clean=clean
        )
    defense_plan = DefensePlan(
        recipe=recipe,
        context=context,
        dataset=dataset,
        probe=probe_step(recipe.probe, suspect, context, pretrained),
        detection=detection,
        split=split,
        backdoored=backdoored,
        clean=clean,
        defenses=defenses,
        repaired=_plan_repaired(
            recipe, suspect, split, repairable=repairable, defenses=defenses, context=context
        ),
    )
    return with_current_evaluation(defense_plan)


def _plan_repaired(
    recipe: Recipe,
    suspect: Step,
    split: Step,
    *,
    repairable: BackdooredModel | None,
    defenses: Mapping[str, Step],
    context: PlanContext,
) -> Step | None:
    """Returns the step that gives the user's model back; None where none is given or repaired."""
    repairing = [defense.name for defense in recipe.defenses if defense.repairs]
    if recipe.given is None or repairable is None or not repairing:
        return None
    return repaired_step(
        recipe.given,
        repairable.config.model,
        suspect=suspect,
        split=split,
        backdoored=repairable.step,
        defended=defenses[repairing[0]],
        context=context,
    )


def _plan_pretrained(recipe: Recipe, context: PlanContext) -> Step | None:
    """Returns the step of the weights that the probe starts from; None where none are given."""
    if recipe.pretrained is None:
        return None
    num_classes = recipe.source.info().num_classes
    return pretrained_step(recipe.pretrained, recipe.probe.model, num_classes, context)


def _first_vouched(recipe: Recipe) -> int | None:
    """Returns the index of the first sample that the user vouches for, if there are some."""
    if isinstance(recipe.source, VouchedSource):
        return recipe.source.first_vouched()
    return None


def plan_dataset(recipe: Recipe, context: PlanContext) -> PlannedDataset:
    """Returns the step of the suspect dataset, poisoned where the recipe has an attack."""
    source: Source = recipe.source
    is_attacked = isinstance(source, AttackedSource)
    if is_attacked and recipe.attack is not None:
        raise InputError(f"the source {source.name} is poisoned already: set attack to none")
    if is_attacked:
        return PlannedDataset(attacked_step(recipe.ingest, source, context))
    if recipe.attack is None:
        return PlannedDataset(ingest_step(recipe.ingest, source, context))
    prepared = prepare_attack(
        recipe.attack, recipe.attacker, recipe.ingest, source=recipe.source, context=context
    )
    step = poison_step(
        recipe.poison,
        recipe.ingest,
        recipe.source,
        attack=prepared.attack,
        asset=prepared.step,
        context=context,
    )
    return PlannedDataset(step, prepared.attack, prepared.step)


def plan_clean_share(recipe: Recipe, context: PlanContext) -> Step | None:
    """Returns the step of the clean share; None where no defense takes it or nobody knows one.

    Of a source that we did not poison ourselves no image is known to be clean.
    """
    if recipe.attack is None or not any(map(takes_clean_share, recipe.defenses)):
        return None
    return clean_share_step(recipe.clean, recipe.ingest, recipe.source, context)


def with_current_evaluation(plan: DefensePlan) -> Plan:
    """Returns the plan with an evaluation of the test files as they are now.

    They may change while models are trained; then they are evaluated as they are met.
    """
    recipe = plan.recipe
    models = {}
    normalization = None if recipe.given is None else recipe.given.normalization
    if plan.backdoored is not None and recipe.backdoored is not None:
        models[BACKDOORED] = TrainedModel(
            plan.backdoored,
            recipe.backdoored.model,
            BACKDOORED_TITLE,
            normalization=normalization,
        )
    for defense in recipe.defenses:
        network = defense.network(recipe.backdoored)
        models[defense.name] = TrainedModel(
            plan.defenses[defense.name],
            network,
            defense.title,
            normalization=normalization if defense.repairs else None,
        )
    evaluation = evaluation_step(
        recipe.evaluation,
        plan.dataset.step,
        plan.split,
        models=models,
        source=recipe.source,
        attack=plan.dataset.attack,
        asset=plan.dataset.asset,
        context=plan.context,
    )
    planned = {field.name: getattr(plan, field.name) for field in fields(DefensePlan)}
    return Plan(**planned, evaluation=evaluation)
