"""Configuration as plain data, as a fingerprint, and with one field replaced."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ray_defense.attacks import ATTACKS
from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.blend_signal import BlendSignal
from ray_defense.attacks.targets import AllToOne
from ray_defense.core.config import (
    canonical_json,
    fingerprint,
    from_plain,
    override,
    to_plain,
)
from ray_defense.core.errors import InputError
from ray_defense.data.sources.parquet import Parquet
from ray_defense.defenses.d_br import BackdoorRemoval
from ray_defense.defenses.d_st import SecureTraining
from ray_defense.models.resnet18 import ResNet18
from ray_defense.pipeline.recipe import Recipe
from ray_defense.pipeline.recipes import RECIPES
from ray_defense.stages.detect import DetectConfig
from ray_defense.training.normalization import NORMALIZATIONS, Normalization
from ray_defense.transforms.affine import Affine
from ray_defense.transforms.no_augmentation import NoAugment
from ray_defense.transforms.rotate import Rotate

DEMO = RECIPES["digits_badnets"]()
UNITS = {  # the package of each registry
    "ATTACKS": "ray_defense.attacks",
    "TRANSFORMS": "ray_defense.transforms",
    "AUGMENTATIONS": "ray_defense.transforms",
    "DETECTORS": "ray_defense.detectors",
    "DECISIONS": "ray_defense.detectors.decision",
    "DEFENSES": "ray_defense.defenses",
    "MODELS": "ray_defense.models",
    "SOURCES": "ray_defense.data.sources",
}
DARK = Normalization((0.1, 0.1, 0.1), (0.2, 0.2, 0.2))


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (dotted path, value) of every field that is no dataclass itself.

    A tuple of units is yielded as a whole, and entered by the names of its units.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{path}.")
            continue
        yield path, value
        if holds_units(value):
            for unit in value:
                yield from leaves(unit, f"{path}.{unit.name}.")


def holds_units(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and dataclasses.is_dataclass(value[0])


def value_at(config: Any, path: str) -> Any:
    """Returns the value at a dotted path, which may enter a tuple of units as in `override`."""
    value = config
    for name in path.split("."):
        value = field_or_unit(value, name)
    return value


def field_or_unit(config: Any, name: str) -> Any:
    if isinstance(config, tuple):
        return {unit.name: unit for unit in config}[name]
    if hasattr(config, name):
        return getattr(config, name)
    for field in dataclasses.fields(config):
        if name in field.metadata.get("registry", {}):
            return field_or_unit(getattr(config, field.name), name)
    raise AssertionError(f"{config} has no {name}")


def names_of(units: tuple[Any, ...]) -> list[str]:
    return [unit.name for unit in units]


def test_plain_data_names_each_unit_and_is_json():
    plain = to_plain(DEMO)
    assert plain["attack"] == {
        "kind": "badnets",
        "target": {"kind": "all2one", "label": 0, "cover_ratio": 0.0},
        "square_fraction": 0.1,
    }
    (detector,) = plain["detect"]["detectors"]
    assert detector["kind"] == "fct"
    assert [unit["kind"] for unit in detector["tau"]] == ["rotate", "affine"]
    assert [unit["kind"] for unit in plain["defenses"]] == ["d_br", "d_st"]
    assert plain["normalization"]["mean"] == [0.5, 0.5, 0.5]
    assert "kind" not in plain
    assert plain["name"] == "digits_badnets"
    assert json.loads(json.dumps(plain)) == plain
    assert to_plain({1: Path("a/b"), "x": (1, [2, None])}) == {"1": "a/b", "x": [1, [2, None]]}


def test_canonical_json_does_not_depend_on_the_order_of_keys_and_has_no_nan():
    text = '{"a":[2.5,null],"b":1}'
    assert canonical_json({"b": 1, "a": [2.5, None]}) == text
    assert canonical_json({"a": (2.5, None), "b": 1}) == text
    with pytest.raises(ValueError):
        canonical_json({"a": float("nan")})


def test_a_fingerprint_is_the_one_recorded():
    config = {"rate": 0.1, "attack": BadNets(), "tau": (Rotate(), Affine())}
    assert fingerprint(config) == "7e16a62ac6750866"


def test_a_fingerprint_is_the_same_in_another_process_with_other_hash_seed():
    code = "from ray_defense.core.config import fingerprint; "
    code += "from ray_defense.attacks import ATTACKS; "
    code += "print(fingerprint({name: make() for name, make in ATTACKS.items()}))"
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == fingerprint({name: make() for name, make in ATTACKS.items()})


def test_recipes_of_other_names_attacks_or_seeds_have_other_fingerprints():
    configs = [make() for make in RECIPES.values()]
    configs += [
        override(DEMO, "seed", 1),
        override(DEMO, "attack", "sig"),
        override(DEMO, "detect.fct.tau", "affine,rotate"),
        override(DEMO, "d_st", "none"),
    ]
    assert len({fingerprint(config) for config in configs}) == len(configs)


@pytest.mark.parametrize("name", RECIPES)
def test_replacing_any_leaf_by_its_own_value_or_its_text_changes_nothing(name: str):
    config = RECIPES[name]()
    for path, value in leaves(config):
        assert override(config, path, value) == config, path
        text = ",".join(names_of(value)) if holds_units(value) else str(value)
        assert fingerprint(override(config, path, text)) == fingerprint(config), path


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("seed", "3", 3),
        ("probe.epochs", "7", 7),
        ("probe.sgd.learning_rate", "1e-3", 1e-3),
        ("probe.sgd.learning_rate", "1", 1.0),
        ("backdoored.milestones", "(3, 5)", (3, 5)),
        ("backdoored.milestones", "3,5", (3, 5)),
        ("backdoored.milestones", "3", (3,)),
        ("backdoored.milestones", "()", ()),
        ("backdoored.milestones", [3, 5], (3, 5)),
        ("normalization", "cifar100", NORMALIZATIONS["cifar100"]),
        ("normalization", DARK, DARK),
        ("normalization.mean", "0.1,0.2,1", (0.1, 0.2, 1.0)),
        ("d_br.keep", "splits", "splits"),
        ("d_br.steps", "relearn,unlearn", ("relearn", "unlearn")),
        ("d_br.steps", "relearn", ("relearn",)),
        ("d_br.steps", "('relearn', 'relearn')", ("relearn", "relearn")),
        ("d_br.unlearn_above", "none", None),
        ("d_br.unlearn_above", "chance", "chance"),
        ("d_br.unlearn_above", "0.5", 0.5),
        ("d_st.augmentation.flip", "true", True),
        ("d_st.augmentation.flip", False, False),
        ("attack", "blend_signal", BlendSignal()),
        ("attack", "none", None),
        ("attack", None, None),
        ("attack", BadNets(AllToOne(3)), BadNets(AllToOne(3))),
        ("backdoored", "none", None),
        ("defenses", "none", ()),
        ("defenses", None, ()),
        ("defenses", BackdoorRemoval(), (BackdoorRemoval(),)),
        ("defenses", (SecureTraining(), BackdoorRemoval()), (SecureTraining(), BackdoorRemoval())),
        ("probe.model", "resnet18", ResNet18()),
        ("probe.model.width", "8", 8),
        ("backdoored.augmentation", "none", NoAugment()),
        ("detect.fct.tau", "rotate", (Rotate(),)),
        ("detect.fct.tau", "affine, rotate", (Affine(), Rotate())),
        ("detect.fct.tau", (Rotate(30.0),), (Rotate(30.0),)),
        ("detect.fct.reduce", "0.1", 0.1),
        ("detect.fct.reduce", "mean", "mean"),
        ("detect", DetectConfig(batch_size=10), DetectConfig(batch_size=10)),
    ],
)
def test_a_field_takes_a_value_or_its_text(path: str, text: Any, value: Any):
    changed = override(DEMO, path, text)
    new = value_at(changed, path)
    assert new == value
    assert type(new) is type(value)
    assert type(changed) is Recipe
    assert DEMO == RECIPES["digits_badnets"]()


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
        ("normalization", Rotate(), "normalization must be one of cifar10"),
        ("detect.fct.tau", "rotate,afine", "did you mean 'affine'"),
        ("detect.fct.tau", (Rotate(), BadNets()), "detect.fct.tau must be one of"),
        ("detect.fct.tau", "none", "tau is empty: name one or more of rotate, affine"),
        ("detect.detectors", "none", "detect.detectors is empty: name one of fct"),
        ("probe.model", "none", "unknown model 'none'"),
        ("defenses", "d_sr", "unknown defenses 'd_sr': did you mean 'd_st'"),
        ("d_br", "d_st", "d_br names one unit of several: set it to none, or set a field of it"),
        ("d_br.keep", "zzz", "known: last, splits"),
        ("d_br.keeps", "last", "unknown configuration key (in d_br) 'keeps': did you mean 'keep'"),
        ("d_br.steps", "relearn,unlern", "did you mean 'unlearn'"),
        ("detect.fct.reduce", "none", "quantile in [0, 1], not 'none'"),
        ("detect.fct.reduce", None, "must be str, not None"),
        ("detect.fct.reduce", "2", "2.0"),
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
        ("backdoored.milestones", "3,x", "backdoored.milestones must be"),
        ("backdoored.milestones", "3,0.5", "must be int, not 0.5"),
        # What Python's own parser and numbers stumble over.
        ("probe.epochs", "{[]: 1}", "must be int"),
        ("probe.epochs", "(" * 300, "must be int"),
        ("probe.epochs", "-" * 100_000, "must be int"),
        ("probe.epochs", "1" + "+1" * 20_000, "must be int"),
        ("probe.sgd.learning_rate", 10**400, "must be float"),
        ("normalization.mean", "0.5", "3 values"),
        ("normalization.mean", (0.5, 0.5), "3 values"),
        ("d_st.augmentation.flip", "1", "must be bool, not 1"),
        ("poison.rate", "1.5", "poison.rate must lie in"),
    ],
)
def test_a_wrong_path_or_value_is_refused_with_what_it_should_be(
    path: str, value: Any, message: str
):
    with pytest.raises(InputError) as refusal:
        override(DEMO, path, value)
    assert message in str(refusal.value)


def test_a_field_of_a_unit_that_is_none_is_refused():
    with pytest.raises(InputError, match="attack is None and has no fields"):
        override(override(DEMO, "attack", "none"), "attack.square_fraction", 0.2)
    with pytest.raises(InputError, match="backdoored is None and has no fields"):
        override(override(DEMO, "backdoored", "none"), "backdoored.epochs", 3)


@pytest.mark.parametrize("path", ["defenses.d_br.rounds", "d_br.rounds"])
def test_a_path_enters_a_field_of_several_units_by_the_name_of_one(path: str):
    changed = override(DEMO, path, "7")
    d_br, d_st = changed.defenses
    assert d_br == dataclasses.replace(DEMO.defenses[0], rounds=7)
    assert d_st == DEMO.defenses[1]
    assert dataclasses.replace(changed, defenses=DEMO.defenses) == DEMO


@pytest.mark.parametrize("path", ["detect.detectors.fct.draws", "detect.fct.draws"])
def test_a_path_enters_the_detectors_by_the_name_of_one(path: str):
    (fct,) = override(DEMO, path, "8").detect.detectors
    assert fct == dataclasses.replace(DEMO.detect.detectors[0], draws=8)


def test_a_path_enters_a_transform_of_tau_by_its_name():
    (fct,) = override(DEMO, "detect.fct.tau.rotate.degrees", "30").detect.detectors
    assert fct.tau == (Rotate(30.0), Affine())


@pytest.mark.parametrize("nothing", ["none", "None", None])
@pytest.mark.parametrize("path", ["d_st", "defenses.d_st"])
def test_none_removes_one_unit_and_nothing_where_it_is_absent(path: str, nothing: str | None):
    without = override(DEMO, path, nothing)
    assert without.defenses == DEMO.defenses[:1]
    assert override(without, path, nothing) == without
    assert override(override(without, "d_br", nothing), "d_br", nothing).defenses == ()


def test_a_field_of_an_absent_unit_is_refused_with_those_that_are_there():
    only_d_st = override(DEMO, "d_br", "none")
    for path in ("d_br.rounds", "defenses.d_br.rounds"):
        with pytest.raises(InputError, match=f"cannot set '{path}': there is no d_br, only d_st"):
            override(only_d_st, path, 3)
    with pytest.raises(InputError, match="there is no d_br, only none; add it first"):
        override(override(DEMO, "defenses", "none"), "d_br.rounds", 3)


def test_naming_units_keeps_the_parameters_of_those_that_are_there():
    d_br, d_st = DEMO.defenses
    assert d_br != BackdoorRemoval()
    assert override(DEMO, "defenses", "d_br").defenses == (d_br,)
    assert override(DEMO, "defenses", "d_st, d_br").defenses == (d_st, d_br)
    none = override(DEMO, "defenses", "none")
    assert override(none, "defenses", "d_br,d_st").defenses == (BackdoorRemoval(), SecureTraining())
    turned = override(DEMO, "detect.fct.tau", (Rotate(30.0),))
    (fct,) = override(turned, "detect.fct.tau", "affine,rotate").detect.detectors
    assert fct.tau == (Affine(), Rotate(30.0))


@pytest.mark.parametrize("recipe", [make() for make in RECIPES.values()], ids=list(RECIPES))
def test_what_a_configuration_becomes_as_plain_data_is_read_back(recipe: Recipe):
    assert from_plain(Recipe, json.loads(json.dumps(to_plain(recipe)))) == recipe


@pytest.mark.parametrize("registry", UNITS, ids=str)
def test_every_unit_is_read_back_from_plain_data(registry: str):
    module = importlib.import_module(UNITS[registry])
    units = getattr(module, registry)
    for name in units:
        unit = units[name]() if isinstance(units[name], type) else units[name]
        plain = json.loads(json.dumps(to_plain(unit)))
        plain.pop("kind", None)
        assert from_plain(type(unit), plain) == unit, name


def test_keys_that_are_left_out_have_the_defaults_of_their_unit():
    plain = {"name": "mine", "source": {"kind": "parquet", "size": 64}, "attack": "badnets"}
    assert from_plain(Recipe, plain) == Recipe("mine", source=Parquet(size=64), attack=BadNets())


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({}, "Recipe needs the key 'name'"),
        ([], "Recipe must be an object with keys, not []"),
        ({"name": ["x"]}, "name must be str, not ['x']"),
        ({"name": "x", "sede": 1}, "unknown configuration key (in Recipe) 'sede': did you mean"),
        ({"name": "x", "seed": 1.5}, "seed must be int, not 1.5"),
        ({"name": "x", "probe": None}, "probe must be an object with keys, not None"),
        ({"name": "x", "probe": {"epoch": 1}}, "(in probe) 'epoch': did you mean 'epochs'"),
        ({"name": "x", "source": {"size": 64}}, "source needs the key 'kind': one of archive"),
        ({"name": "x", "source": {"kind": "parket"}}, "unknown source 'parket': did you mean"),
        ({"name": "x", "source": {"kind": ["parquet"]}}, "unknown source ['parquet']"),
        ({"name": "x", "source": 3}, "source must be one of archive"),
        ({"name": "x", "defenses": "d_st"}, "defenses must be a list, not 'd_st'"),
        ({"name": "x", "defenses": [{"kind": "d_st", "epoch": 1}]}, "(in defenses) 'epoch'"),
        ({"name": "x", "normalization": {"mean": [0, 0, 0]}}, "normalization needs the key 'std'"),
    ],
)
def test_plain_data_that_describes_nothing_is_refused(plain: Any, message: str):
    with pytest.raises(InputError) as error:
        from_plain(Recipe, plain)
    assert message in str(error.value)


def test_a_departure_is_left_out_of_plain_data_at_its_default_alone():
    assert "positives" in to_plain(SecureTraining())
    assert "mce_means" not in to_plain(SecureTraining())
    other = SecureTraining(mce_means="batch")
    assert to_plain(other)["mce_means"] == "batch"
    assert fingerprint(other) != fingerprint(SecureTraining())
    recipe = override(DEMO, "d_st.mce_means", "batch")
    assert from_plain(Recipe, to_plain(recipe)) == recipe
    assert from_plain(Recipe, to_plain(DEMO)) == DEMO
