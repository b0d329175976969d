"""`verdict.json` is what its schema in docs/ says."""

import json
from dataclasses import fields, replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from ray_defense.core.files import json_bytes
from ray_defense.detectors.decision.evidence import Evidence
from ray_defense.detectors.decision.verdict import (
    CanaryResult,
    ColumnReport,
    GroupTest,
    Interval,
    Power,
    Verdict,
)
from tests.support.planted_evidence import plant

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "verdict.schema.json").read_text())
POWER = Power((CanaryResult("square", True, 20, num_found=7, num_others=0, evidence=True),))


def tables():
    planted = plant()
    handed = planted.with_columns(mirror=np.abs(planted.table.columns["mirror"]))
    return {
        "evidence": planted.table,
        "no evidence": plant(6000, num_poisoned=0).table,
        "not assessable": replace(handed, metrics={}),
    }


@pytest.mark.parametrize("power", [None, POWER])
@pytest.mark.parametrize("outcome", ["evidence", "no evidence", "not assessable"])
def test_every_verdict_fits_the_schema(outcome, power):
    verdict = Evidence().decide(tables()[outcome], "fct", power).verdict
    assert verdict.verdict == outcome
    jsonschema.validate(json.loads(json_bytes(verdict)), SCHEMA)


@pytest.mark.parametrize(
    ("definition", "kind"),
    [
        ("column", ColumnReport),
        ("test", GroupTest),
        ("interval", Interval),
        ("power", Power),
        ("canary", CanaryResult),
        (None, Verdict),
    ],
)
def test_the_schema_has_every_field_and_requires_it(definition, kind):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    part = SCHEMA if definition is None else SCHEMA["$defs"][definition]
    names = [field.name for field in fields(kind)]
    assert list(part["properties"]) == names
    assert part["required"] == names
