"""Canaries: what is planted in a copy, and the power that is measured on it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.attacks.badnets import BadNets
from ray_defense.attacks.blend_picture import BlendPicture
from ray_defense.attacks.blend_signal import BlendSignal
from ray_defense.attacks.sig import Sig
from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json, write_json
from ray_defense.data.split_table import SplitTable, read_split, write_split
from ray_defense.data.suspect_dataset import SuspectDataset
from ray_defense.detectors.decision.evidence import Evidence
from ray_defense.detectors.decision.fractions import Fractions
from ray_defense.detectors.decision.verdict import CanaryResult, Power
from ray_defense.detectors.fct import Fct
from ray_defense.detectors.probe import ProbeConfig
from ray_defense.execution.steps import FunctionWork, Step, with_needs
from ray_defense.models.small_resnet import SmallResNet
from ray_defense.stages.canaries import (
    Canary,
    CanaryConfig,
    canary_copy_step,
    choose_canaries,
    decide_on_copy,
    plan_power,
)
from ray_defense.stages.detect import DetectConfig
from ray_defense.stages.power_file import read_power
from ray_defense.store.artifacts import Store
from tests.support.steps import make_step

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=60)


@given(LABELS, st.booleans(), st.integers(1, 40))
def test_canaries_are_of_one_class_or_come_from_the_others(labels, keeps_label, size):
    labels = np.array(labels)
    index = np.arange(len(labels)) * 3
    canary = Canary(BadNets(), keeps_label, size)
    chosen, label = choose_canaries(labels, index, canary, key=5)
    assert labels.tolist().count(label) == np.bincount(labels).max()
    assert ((labels[chosen] == label) == keeps_label).all()
    num_candidates = int(((labels == label) == keeps_label).sum())
    assert len(chosen) == min(size, num_candidates // 2)
    fewer, _ = choose_canaries(labels, index, replace(canary, size=(size + 1) // 2), key=5)
    assert set(fewer.tolist()) <= set(chosen.tolist())


@given(LABELS, st.booleans(), st.integers(1, 40), st.integers(0, 70))
def test_no_sample_that_somebody_vouches_for_becomes_a_canary(
    labels, keeps_label, size, first_vouched
):
    labels = np.array(labels)
    index = np.arange(len(labels))
    canary = Canary(BadNets(), keeps_label, size)
    judged = index < first_vouched
    chosen = choose_canaries(labels, index, canary, key=5, judged=judged)
    assert (chosen[0] < first_vouched).all()
    if judged.any():  # they change nothing else either
        alone = choose_canaries(labels[judged], index[judged], canary, key=5)
        assert np.array_equal(chosen[0], alone[0])
        assert chosen[1] == alone[1]


@pytest.mark.parametrize("keeps_label", [False, True])
def test_a_copy_differs_from_the_dataset_in_its_canaries_alone(probed_noise, tmp_path, keeps_label):
    context = replace(probed_noise.context, store=Store(tmp_path))
    canary = Canary(BadNets(), keeps_label, 12)
    step = canary_copy_step(canary, probed_noise.suspect, context)
    copy = make_step(step, context)
    original = probed_noise.dataset
    copied = SuspectDataset(copy.path)
    assert np.array_equal(copied.index, original.index)
    assert copied.num_classes == original.num_classes
    canaries = original.locate(read_json(copy.path / "canaries.json")["index"])
    everything = np.arange(original.num_samples)
    before = original.read_images(everything)
    after = copied.read_images(everything)
    changed = (before != after).any(axis=(1, 2, 3))
    assert np.flatnonzero(changed).tolist() == canaries.tolist()
    stamped = BadNets().stamp(before[canaries], original.index[canaries])
    assert np.array_equal(after[canaries], stamped)
    relabeled = np.flatnonzero(copied.labels != original.labels)
    assert relabeled.tolist() == ([] if keeps_label else canaries.tolist())
    assert len(set(copied.labels[canaries].tolist())) == 1


def flag_what_changed(suspect: Step, context, copy: Step) -> Step:
    """Returns the split of a copy by a detector that finds every canary but the first, and one
    sample that is none."""

    def fill(artifact, executor):
        original = SuspectDataset(suspect.artifact.path)
        copied = SuspectDataset(copy.artifact.path)
        everything = np.arange(original.num_samples)
        same = original.read_images(everything) == copied.read_images(everything)
        changed = ~same.all(axis=(1, 2, 3))
        flagged = changed.copy()
        flagged[np.flatnonzero(changed)[0]] = False
        flagged[np.flatnonzero(~changed)[0]] = True
        part = np.where(flagged, "flagged", "uncertain")
        write_split(artifact.work, SplitTable(original.index, flagged.astype(float), part))
        verdict = "evidence" if changed.sum() > 10 else "no evidence"
        write_json(artifact.work / "verdict.json", {"verdict": verdict})

    artifact = context.store.locate("split", 1, {}, {"copy": copy.artifact})
    return Step(artifact, needs=(copy,), work=FunctionWork(fill))


def test_the_power_counts_the_canaries_found_in_each_copy(probed_noise, tmp_path):
    context = replace(probed_noise.context, store=Store(tmp_path))
    config = CanaryConfig(families=(BadNets(), Sig()), sizes=(8, 14))
    decide_copy = partial(flag_what_changed, probed_noise.suspect, context)
    step = plan_power(config, probed_noise.suspect, decide_copy, context)
    power = read_power(make_step(step, context))
    expected = []
    for family in ("badnets", "sig"):
        for keeps_label in (False, True):
            for size in (8, 14):
                result = CanaryResult(
                    family=family,
                    keeps_label=keeps_label,
                    num_planted=size,
                    num_found=size - 1,
                    num_others=1,
                    evidence=size > 10,
                )
                expected.append(result)
    assert power == Power(tuple(expected))


def test_canaries_run_through_the_detectors_and_the_decision_and_reach_nothing_else(
    probed_noise, tmp_path
):
    context = replace(probed_noise.context, store=Store(tmp_path))
    detect = DetectConfig(detectors=(Fct(),))
    decide = Evidence(antisymmetric=("fct",), grown=(), one_sided=(), trusted_by=("fct",))
    decide_copy = partial(decide_on_copy, detect, decide, ProbeConfig(epochs=1), context)
    config = CanaryConfig(families=(BlendSignal(),), sizes=(20,))
    step = plan_power(config, probed_noise.suspect, decide_copy, context)
    by_stage: dict[str, list[Step]] = {}
    for needed in with_needs([step]):
        by_stage.setdefault(needed.artifact.stage, []).append(needed)
    assert set(by_stage) == {"ingest", "canary_copy", "probe", "evidence", "split", "power"}
    for stage in ("canary_copy", "probe", "evidence", "split"):
        assert len(by_stage[stage]) == 2  # dirty and clean label
    for probe in by_stage["probe"]:
        assert probed_noise.suspect.key not in {need.key for need in probe.needs}


def test_images_that_the_user_vouches_for_are_trusted_in_a_copy_and_get_no_trigger(
    probed_noise, tmp_path
):
    context = replace(probed_noise.context, store=Store(tmp_path))
    detect = DetectConfig(detectors=(Fct(),))
    decide = Evidence(antisymmetric=("fct",), grown=(), one_sided=(), trusted_by=("fct",))
    probe = ProbeConfig(SmallResNet(width=4), epochs=1, intra_epochs=0, batch_size=50)
    canary = Canary(BadNets(), keeps_label=False, size=40)
    suspect = probed_noise.suspect
    copy = canary_copy_step(canary, suspect, context, first_vouched=60)
    assert copy.key != canary_copy_step(canary, suspect, context).key
    split = decide_on_copy(detect, decide, probe, context, copy, first_vouched=60)
    table = read_split(make_step(split, context).path)
    vouched = table.index >= 60
    assert (table.part[vouched] == "trusted").all()
    assert len(table.members("trusted")) < vouched.sum() + 30
    canaries = read_json(copy.artifact.path / "canaries.json")["index"]
    assert canaries
    assert max(canaries) < 60


def test_a_decision_without_a_verdict_has_no_power(probed_noise):
    context = probed_noise.context
    detect = DetectConfig(detectors=(Fct(),))
    with pytest.raises(InputError, match="set decide=evidence"):
        decide_on_copy(detect, Fractions(), ProbeConfig(), context, probed_noise.suspect)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"families": ()}, "families is empty"),
        ({"sizes": (0,)}, "canaries.sizes"),
        ({"families": (BlendPicture(),)}, "needs a picture made first"),
        ({"families": (BadNets(), BadNets())}, "holds badnets 2 times"),
    ],
)
def test_canaries_that_cannot_be_planted_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        CanaryConfig(**fields)
