"""The keys of all artifacts of ten configurations are those recorded in `fingerprints.json`.

A key that changes makes every store compute the artifact, and all that is made from it, anew. Where
that is meant, record the new keys with `python -m tests.golden.test_fingerprints`.
"""

import json
import tempfile
from pathlib import Path

import pytest

from ray_defense.core.config import override
from ray_defense.execution.steps import with_needs
from ray_defense.pipeline.plan import plan_recipe
from ray_defense.pipeline.recipes import named_recipe
from ray_defense.pipeline.run import plan_report
from ray_defense.store.artifacts import Store

RECORDED = Path(__file__).with_name("fingerprints.json")
REGENERATE = "python -m tests.golden.test_fingerprints"
# A recipe, then what replaces its values, as `--set` takes it.
CONFIGURATIONS = (
    "digits_badnets",
    "digits_blend",
    "digits_badnets seed=3",
    "digits_badnets attack=trojan attack.target.label=3",
    "digits_badnets attack=label_consistent",
    "digits_badnets attack=ssba attacker.seed=1",
    "digits_badnets attack=adaptive_blend",
    "digits_badnets attack=badnets attack.target=all2all poison.rate=0.2",
    "digits_badnets detect.fct.tau=flip,crop detect.fct.draws=8 detect.fct.reduce=0.1 "
    "decide.flagged_fraction=0.02",
    "digits_badnets attack=none d_br.steps=unlearn d_st=none",
)


def planned_keys(configuration: str) -> list[str]:
    """Returns `stage/key` of all artifacts of a configuration, what others need first."""
    name, *assignments = configuration.split()
    recipe = named_recipe(name)
    for assignment in assignments:
        path, _, value = assignment.partition("=")
        recipe = override(recipe, path, value)
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_recipe(recipe, Store(folder))
        steps = with_needs([*plan.steps().values(), plan_report(plan)])
    return [f"{step.artifact.stage}/{step.key}" for step in steps]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_keys_of_a_configuration_are_those_recorded(configuration: str):
    recorded = json.loads(RECORDED.read_text())
    keys = planned_keys(configuration)
    assert keys == recorded.get(configuration), (
        f"the keys of {configuration!r} changed, so that stores compute these artifacts anew, with "
        "all that is made from them. If a change of results is meant, raise the version of the "
        f"stage and record the keys with `{REGENERATE}`; if not, undo what changed the "
        "configuration."
    )


def test_no_other_configuration_is_recorded():
    assert list(json.loads(RECORDED.read_text())) == list(CONFIGURATIONS)


def record() -> None:
    """Writes the keys of all configurations to `fingerprints.json`."""
    recorded = {}
    for configuration in CONFIGURATIONS:
        recorded[configuration] = planned_keys(configuration)
    RECORDED.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    record()
