"""A plan names every artifact of a run, in the order of the path, and makes none."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from ray_defense.core.config import override
from ray_defense.data.sources.with_trusted import WithTrusted
from ray_defense.execution.local import LocalExecutor
from ray_defense.execution.steps import Step, with_needs
from ray_defense.pipeline.plan import Plan, Until, plan_recipe
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.pipeline.run import run_plan
from ray_defense.store.artifacts import Store
from tests.support import tiny

WITHOUT_FILES = ("digits_badnets", "digits_blend")  # recipes whose source needs no files
PATH = [
    "ingest",
    "probe",
    "evidence",
    "split",
    "backdoored",
    "d_br",
    "d_st",
    "evaluation",
]


def path_without(*stages: str) -> list[str]:
    return [stage for stage in PATH if stage not in stages]


def keys_of(steps: Iterable[Step]) -> set[str]:
    return {step.key for step in steps}


def plan_of(recipe: Recipe, tmp_path: Path) -> Plan:
    return plan_recipe(recipe, Store(tmp_path))


def test_the_recipes_whose_source_needs_no_files_are_those_of_digits():
    names = []
    for name, recipe in RECIPES.items():
        if recipe().source.name == "digits":
            names.append(name)
    assert tuple(names) == (*WITHOUT_FILES, "digits_baselines")


def test_planted_copies_know_the_images_that_the_user_vouches_for(tmp_path: Path):
    tiny.write_digits(tmp_path, 20, 20)
    recipe = override(tiny.recipe(tmp_path), "decide", "evidence")
    recipe = override(recipe, "detect.detectors", "mirror,fct_draws,grow")
    recipe = replace(override(recipe, "canaries.sizes", (20,)), defenses=(), backdoored=None)
    recipe = replace(recipe, source=WithTrusted(recipe.source, recipe.source), attack=None)
    steps = with_needs([plan_of(recipe, tmp_path).split])
    works = [step.work for step in steps if step.artifact.stage in ("canary_copy", "split")]
    assert len(works) == 6 + 6 + 1
    first = recipe.source.first_vouched()
    for work in works:
        arguments = work.function.args
        assert first in arguments or arguments[0].first_vouched == first


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_the_plan_of_a_recipe_names_each_stage_once_in_the_order_of_the_path(
    name: str, tmp_path: Path
):
    plan = plan_of(RECIPES[name](), tmp_path)
    steps = plan.steps()
    assert list(steps) == PATH
    assert [step.artifact.stage for step in steps.values()] == PATH
    assert len(keys_of(steps.values())) == len(PATH)
    assert list(plan.artifacts()) == PATH
    assert list(plan.defenses) == ["d_br", "d_st"]


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_the_steps_up_to_some_point_are_a_prefix_of_the_path(name: str, tmp_path: Path):
    plan = plan_of(RECIPES[name](), tmp_path)
    ends: dict[Until, list[str]] = {
        "evidence": PATH[:3],
        "split": PATH[:4],
        "defended": PATH[:7],
        "evaluation": PATH,
        "report": PATH,  # the report itself is planned once the evaluation is made
    }
    assert set(ends) == set(get_args(Until))
    for until, stages in ends.items():
        assert list(plan.steps(until)) == stages


@pytest.mark.parametrize("name", WITHOUT_FILES)
@pytest.mark.parametrize("attack", [None, "badnets", "label_consistent", "trojan", "ssba"])
def test_a_step_needs_only_steps_before_it(name: str, attack: str | None, tmp_path: Path):
    plan = plan_of(override(RECIPES[name](), "attack", attack), tmp_path)
    steps = list(plan.steps().values())
    planned = keys_of(steps)
    assert keys_of(with_needs(steps)) >= planned
    before: set[str] = set()
    for step in steps:
        assert keys_of(step.needs) & planned <= before
        before.add(step.key)


@pytest.mark.parametrize(
    ("path", "missing"),
    [("defenses", ("d_br", "d_st")), ("d_br", ("d_br",)), ("d_st", ("d_st",))],
)
def test_a_defense_that_is_left_out_is_no_step(path: str, missing: tuple[str, ...], tmp_path: Path):
    plan = plan_of(override(RECIPES["digits_badnets"](), path, "none"), tmp_path)
    assert list(plan.steps()) == path_without(*missing)


def test_without_a_backdoored_model_there_is_no_step_of_it(tmp_path: Path):
    recipe = override(RECIPES["digits_badnets"](), "d_br", "none")
    plan = plan_of(override(recipe, "backdoored", "none"), tmp_path)
    assert plan.backdoored is None
    assert list(plan.steps()) == path_without("backdoored", "d_br")


def test_what_an_attack_needs_made_comes_before_the_dataset(tmp_path: Path):
    for attack, asset in (
        ("label_consistent", "surrogate"),
        ("trojan", "trojan_patch"),
        ("blend_picture", "picture"),
        ("ssba", "ssba_encoder"),
    ):
        plan = plan_of(override(RECIPES["digits_badnets"](), "attack", attack), tmp_path)
        assert list(plan.steps()) == [asset, *PATH]


def test_no_step_before_the_evaluation_depends_on_the_test_files(tmp_path: Path):
    tiny.write_digits(tmp_path, 40, 10)
    before = plan_of(tiny.recipe(tmp_path), tmp_path / "store")
    (tmp_path / "test.parquet").unlink()
    after = plan_of(tiny.recipe(tmp_path), tmp_path / "store")
    assert after.artifacts("defended") == before.artifacts("defended")
    assert after.evaluation.key != before.evaluation.key


@pytest.mark.parametrize("until", ["evidence", "split"])
def test_running_a_plan_up_to_some_point_makes_its_steps_and_no_other(
    until: Until, digits: Path, tmp_path: Path
):
    plan = plan_recipe(tiny.recipe(digits), Store(tmp_path))
    run_plan(plan, LocalExecutor("numpy"), until=until)
    made = plan.steps(until)
    for stage, artifact in plan.artifacts().items():
        assert artifact.exists == (stage in made), stage


PLANNING = """
import sys
from pathlib import Path
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.store.artifacts import Store

plan = plan_recipe(named_recipe(sys.argv[1]), Store(sys.argv[2]))
print(*plan.steps("report"))
print(*[name for name in ("torch", "pyarrow", "ray") if name in sys.modules])
print(*Path(sys.argv[2]).iterdir())
"""


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_planning_makes_nothing_and_imports_neither_torch_nor_pyarrow_nor_ray(
    name: str, tmp_path: Path
):
    finished = subprocess.run(
        [sys.executable, "-c", PLANNING, name, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    stages, imported, files = finished.stdout.splitlines()
    assert stages.split() == PATH
    assert imported == ""
    assert files == ""
