"""Configuration as plain data, as a fingerprint, with one field replaced; errors name what, the value, the remedy."""

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ray_defense.attacks import ATTACKS, AllToOne, BadNets, BlendSignal
from ray_defense.core.config import canonical_json, fingerprint, override, to_plain
from ray_defense.core.errors import Failed, Refused, look_up, unknown
from ray_defense.data.sources import Parquet
from ray_defense.defenses import BackdoorRemoval
from ray_defense.models import ResNet18, SmallResNet
from ray_defense.pipeline.pipeline import Recipe
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.pipeline.recipes import recipe as recipe_of
from ray_defense.stages.detect import Score
from ray_defense.transforms import Affine, NoAugment, Rotate

DEMO = RECIPES["digits_badnets"]()


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (dotted path, value) of every field that is no dataclass itself."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value


def test_plain_data_names_each_unit_and_is_json():
    plain = to_plain(DEMO)
    assert plain["attack"] == {
        "kind": "badnets",
        "aim": {"kind": "all2one", "target": 0, "cover_ratio": 0.0},
        "square_fraction": 0.1,
    }
    assert [unit["kind"] for unit in plain["score"]["tau"]] == ["rotate", "affine"]
    assert plain["normalization"]["mean"] == [0.5, 0.5, 0.5]
    assert "kind" not in plain and plain["name"] == "digits_badnets"
    assert json.loads(json.dumps(plain)) == plain
    assert to_plain({1: Path("a/b"), "x": (1, [2, None])}) == {"1": "a/b", "x": [1, [2, None]]}


def test_canonical_json_does_not_depend_on_the_order_of_keys_and_has_no_nan():
    assert canonical_json({"b": 1, "a": [2.5, None]}) == canonical_json({"a": (2.5, None), "b": 1}) == '{"a":[2.5,null],"b":1}'
    with pytest.raises(ValueError):
        canonical_json({"a": float("nan")})


def test_a_fingerprint_is_the_one_recorded():
    assert fingerprint({"rate": 0.1, "attack": BadNets(), "tau": (Rotate(), Affine())}) == "1153a517297654a7"


def test_a_fingerprint_is_the_same_in_another_process_with_other_hash_seed():
    code = "from ray_defense.core.config import fingerprint; from ray_defense.attacks import ATTACKS; "
    code += "print(fingerprint({name: make() for name, make in ATTACKS.items()}))"
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint({name: make() for name, make in ATTACKS.items()})


def test_recipes_of_other_names_attacks_or_seeds_have_other_fingerprints():
    configs = [make() for make in RECIPES.values()]
    configs += [
        override(DEMO, "seed", 1),
        override(DEMO, "attack", "sig"),
        override(DEMO, "score.tau", "affine,rotate"),
    ]
    assert len({fingerprint(config) for config in configs}) == len(configs)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_called_by_its_name_in_the_registry(name):
    assert recipe_of(name).name == name


@pytest.mark.parametrize("name", RECIPES)
def test_replacing_any_leaf_by_its_own_value_or_its_text_changes_nothing(name):
    config = RECIPES[name]()
    for path, value in leaves(config):
        assert override(config, path, value) == config, path
        units = isinstance(value, tuple) and dataclasses.is_dataclass(value[0])
        text = ",".join(unit.name for unit in value) if units else str(value)
        assert fingerprint(override(config, path, text)) == fingerprint(config), path


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("seed", "3", 3),
        ("probe.epochs", "7", 7),
        ("probe.sgd.learning_rate", "1e-3", 1e-3),
        ("probe.sgd.learning_rate", "1", 1.0),
        ("backdoor.milestones", "(3, 5)", (3, 5)),
        ("backdoor.milestones", "3,5", (3, 5)),
        ("backdoor.milestones", "3", (3,)),
        ("backdoor.milestones", "()", ()),
        ("backdoor.milestones", [3, 5], (3, 5)),
        ("normalization.mean", "0.1,0.2,1", (0.1, 0.2, 1.0)),
        ("d_br.keep", "splits", "splits"),
        ("d_br.steps", "relearn,unlearn", ("relearn", "unlearn")),
        ("d_br.steps", "relearn", ("relearn",)),
        ("d_br.steps", "('relearn', 'relearn')", ("relearn", "relearn")),
        ("d_st.augmentation.flip", "true", True),
        ("d_st.augmentation.flip", False, False),
        ("attack", "blend_signal", BlendSignal()),
        ("attack", "none", None),
        ("attack", None, None),
        ("attack", BadNets(AllToOne(3)), BadNets(AllToOne(3))),
        ("d_br", "none", None),
        ("d_br", "d_br", BackdoorRemoval()),
        ("d_st", None, None),
        ("probe.model", "resnet18", ResNet18()),
        ("probe.model.width", "8", 8),
        ("backdoor.augmentation", "none", NoAugment()),
        ("score.tau", "rotate", (Rotate(),)),
        ("score.tau", "affine, rotate", (Affine(), Rotate())),
        ("score.tau", (Rotate(30.0),), (Rotate(30.0),)),
        ("score.score.reduce", "0.1", 0.1),
        ("score.score.reduce", "mean", "mean"),
        ("score", Score(batch_size=10), Score(batch_size=10)),
    ],
)
def test_a_field_takes_a_value_or_its_text(path, text, value):
    changed = override(DEMO, path, text)
    found = changed
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value and type(found) is type(value)
    assert type(changed) is Recipe and DEMO == RECIPES["digits_badnets"]()


def test_an_optional_number_takes_a_number_and_none():
    config = dataclasses.replace(DEMO, source=Parquet())
    counted = override(config, "source.num_classes", "12")
    assert counted.source.num_classes == 12
    assert override(counted, "source.num_classes", "none").source.num_classes is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("probe.epoch", 1, "did you mean 'epochs'"),
        ("prob.epochs", 1, "did you mean 'probe'"),
        ("probe.sgd.lr", 1, "learning_rate"),
        ("", 1, "unknown configuration key"),
        ("attack", "badnet", "did you mean 'badnets'"),
        ("attack", "", "known: adaptive_blend"),
        ("attack", 3, "attack must be one of adaptive_blend"),
        ("attack", Rotate(), "attack must be one of adaptive_blend"),
        ("score.tau", "rotate,afine", "did you mean 'affine'"),
        ("score.tau", (Rotate(), BadNets()), "score.tau must be one of"),
        ("probe.model", "none", "unknown model 'none'"),
        ("d_br", "d_st", "unknown d_br 'd_st'"),
        ("d_br.keep", "zzz", "known: last, splits"),
        ("d_br.steps", "relearn,unlern", "did you mean 'unlearn'"),
        ("score.score.reduce", "none", "quantile in [0, 1], not 'none'"),
        ("score.score.reduce", None, "quantile in [0, 1], not 'None'"),
        ("score.score.reduce", "2", "2.0"),
        ("probe.epochs", "many", "probe.epochs must be int, not 'many'"),
        ("probe.epochs", "2.5", "must be int, not 2.5"),
        ("probe.epochs", True, "must be int, not True"),
        ("probe.epochs", None, "must be int, not None"),
        ("probe.epochs", "0", "at least 1"),
        ("probe.epochs.more", "1", "has no fields"),
        ("probe.sgd.learning_rate", "nan", "must be float"),
        ("probe.sgd.learning_rate", "1e999", "learning_rate"),
        ("probe.sgd.learning_rate", float("nan"), "learning_rate"),
        ("probe.sgd", "0.1", "probe.sgd must be Sgd"),
        ("backdoor.milestones", "3,x", "backdoor.milestones must be"),
        ("backdoor.milestones", "3,0.5", "must be int, not 0.5"),
        ("normalization.mean", "0.5", "3 values"),
        ("normalization.mean", (0.5, 0.5), "3 values"),
        ("d_st.augmentation.flip", "1", "must be bool, not 1"),
        ("poison.rate", "1.5", "poison.rate must lie in"),
    ],
)
def test_a_wrong_path_or_value_is_refused_with_what_it_should_be(path, value, message):
    with pytest.raises(Refused) as refusal:
        override(DEMO, path, value)
    assert message in str(refusal.value)


def test_a_field_of_a_unit_that_is_none_is_refused():
    with pytest.raises(Refused, match="d_br is None and has no fields"):
        override(override(DEMO, "d_br", "none"), "d_br.rounds", 3)


@pytest.mark.parametrize(
    "error",
    [Refused("x must be 1, not 2"), Failed("no"), unknown("key", "epoch", ["epochs"]), unknown("key", 3, ["a"])],
)
def test_an_error_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == str(error) and copy.exit_code == error.exit_code


def test_an_unknown_name_is_refused_with_the_nearest_or_all():
    with pytest.raises(Refused, match="unknown attack 'badnet': did you mean 'badnets'"):
        look_up({"badnets": 1, "sig": 2}, "attack", "badnet")
    with pytest.raises(Refused, match="known: badnets, sig"):
        look_up({"sig": 2, "badnets": 1}, "attack", "zzz")
    with pytest.raises(Refused, match="unknown attack None"):
        look_up({"badnets": 1}, "attack", None)


def test_the_demo_uses_one_model_shape_throughout():
    assert DEMO.probe.model == DEMO.backdoor.model == DEMO.d_st.model == SmallResNet()


def test_a_placement_enters_no_fingerprint_and_refuses_what_it_cannot_mean():
    from ray_defense.execution.placement import Placement
    from ray_defense.pipeline.pipeline import Recipe

    assert "placement" not in canonical_json(Recipe("any"))
    assert override(Placement(), "gpus_per_actor", "0.5").gpus_per_actor == 0.5
    for wrong in ({"actors": 0}, {"gpus_per_actor": -0.5}, {"nodes": -1}):
        with pytest.raises(Refused, match="placement"):
            Placement(**wrong)
