"""The split of a dataset: who is trusted and flagged, its summary, and when it is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_defense.core.config import to_plain
from ray_defense.core.errors import InputError
from ray_defense.core.files import read_json, write_json
from ray_defense.data.split_table import read_split
from ray_defense.detectors.decision.evidence import Evidence
from ray_defense.detectors.decision.verdict import CanaryResult, Power
from ray_defense.detectors.fct import Fct
from ray_defense.stages.decide import decide_step
from ray_defense.store.artifacts import Artifact, Store
from tests.stages.conftest import ProbedNoise
from tests.support.splits import split_by_given_scores
from tests.support.steps import make_step, publish_step


def split_noise(noise: ProbedNoise, root: Path, scores: np.ndarray) -> Artifact:
    """Returns the split of the noise by some scores, in a store of its own."""
    context = replace(noise.context, store=Store(root))
    return split_by_given_scores(context, noise.suspect, noise.dataset.index, scores)


def test_a_split_names_the_lowest_trusted_and_the_highest_flagged(probed_noise, tmp_path):
    scores = np.random.default_rng(0).permutation(129)
    split = split_noise(probed_noise, tmp_path, scores)
    table = read_split(split.path)
    dataset = probed_noise.dataset
    assert np.array_equal(table.index, dataset.index)
    assert np.array_equal(table.score, scores)
    is_trusted = scores < 25  # floor(0.2 * 129)
    is_flagged = scores >= 123  # floor(0.05 * 129) = 6
    assert table.members("trusted").tolist() == dataset.index[is_trusted].tolist()
    assert table.members("flagged").tolist() == dataset.index[is_flagged].tolist()
    summary = read_json(split.path / "summary.json")
    assert summary["num_trusted"] == 25
    assert summary["num_flagged"] == 6
    assert summary["num_uncertain"] == 98
    trusted_labels = dataset.labels[is_trusted].tolist()
    expected = [trusted_labels.count(label) for label in range(3)]
    assert summary["trusted_class_counts"] == expected


def test_a_trusted_split_of_a_single_class_is_noted(probed_noise, tmp_path):
    by_class = probed_noise.dataset.labels + np.linspace(0, 0.5, 129)
    split = split_noise(probed_noise, tmp_path / "a", by_class)
    summary = read_json(split.path / "summary.json")
    assert summary["trusted_class_counts"] == [25, 0, 0]
    assert "2 of 3 classes have less than a tenth of their share" in summary["notes"][0]
    assert "(classes 1, 2)" in summary["notes"][0]
    even = split_noise(probed_noise, tmp_path / "b", np.random.default_rng(0).random(129))
    assert read_json(even.path / "summary.json")["notes"] == []


def test_scores_that_are_mostly_zero_are_noted_and_all_equal_scores_refused(probed_noise, tmp_path):
    scores = np.where(np.arange(129) % 4 == 0, 1.0 + np.arange(129), 0.0)
    split = split_noise(probed_noise, tmp_path / "a", scores)
    notes = read_json(split.path / "summary.json")["notes"]
    assert len(notes) == 1
    start = "74% of the scores are exactly 0: the probe's features have collapsed"
    assert notes[0].startswith(start)
    with pytest.raises(InputError, match=r"not assessable: all 129 scores equal 0.5"):
        split_noise(probed_noise, tmp_path / "b", np.full(129, 0.5))


def counted_split(
    noise: ProbedNoise, root: Path, columns: dict[str, np.ndarray], power: Power | None = None
) -> Artifact:
    """Returns the split of the noise by the decision that counts, in a store of its own."""
    context = replace(noise.context, store=Store(root))

    def fill(directory: Path) -> None:
        table = pa.table({"index": noise.dataset.index, **columns})
        pq.write_table(table, directory / "evidence.parquet")
        write_json(directory / "metrics.json", {"mirror": {"mid50": 0.5}})

    evidence = publish_step(context, "evidence", fill)
    config = Evidence(
        grown=(),
        one_sided=("fct",),
        trusted_by=("fct",),
        min_samples=50,
        min_for_no_evidence=100,
    )
    power_step = None
    if power is not None:
        power_step = publish_step(
            context, "power", lambda directory: write_json(directory / "power.json", power)
        )
    step = decide_step(
        config,
        "fct",
        noise.suspect,
        evidence=evidence,
        context=context,
        power=power_step,
    )
    return make_step(step, context)


def columns_with_triggers(num_triggers: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    mirror = generator.normal(size=129)
    mirror[:num_triggers] += 9
    return {"mirror": mirror, "fct": generator.random(129)}


def test_a_decision_that_counts_leaves_its_verdict_and_what_each_column_flagged(
    probed_noise, tmp_path
):
    columns = columns_with_triggers(24)
    split = counted_split(probed_noise, tmp_path, columns)
    verdict = read_json(split.path / "verdict.json")
    assert verdict["verdict"] == "evidence"
    assert 24 <= verdict["num_flagged"] <= 27
    decision = pq.read_table(split.path / "decision.parquet")
    names = ["index", "label", "split", "suspicious", "mirror_flagged", "fct_flagged"]
    assert decision.column_names == names
    table = read_split(split.path)
    assert decision["split"].to_pylist() == table.part.tolist()
    assert decision["label"].to_pylist() == probed_noise.dataset.labels.tolist()
    flagged = table.index[decision["mirror_flagged"].to_numpy()]
    assert flagged.tolist() == table.members("flagged").tolist()
    assert np.array_equal(table.score, columns["mirror"])
    summary = read_json(split.path / "summary.json")
    assert summary["num_flagged"] == verdict["num_flagged"]
    assert sum(summary["trusted_class_counts"]) == summary["num_trusted"] > 0


def test_the_same_evidence_gives_the_same_bytes(probed_noise, tmp_path):
    first = counted_split(probed_noise, tmp_path / "a", columns_with_triggers(24))
    second = counted_split(probed_noise, tmp_path / "b", columns_with_triggers(24))
    for file in ("split.parquet", "decision.parquet", "verdict.json", "summary.json"):
        assert (first.path / file).read_bytes() == (second.path / file).read_bytes()


def test_without_evidence_nothing_is_flagged(probed_noise, tmp_path):
    split = counted_split(probed_noise, tmp_path, columns_with_triggers(0))
    assert read_json(split.path / "verdict.json")["verdict"] == "no evidence"
    assert not len(read_split(split.path).members("flagged"))


def test_the_verdict_holds_the_power_where_it_was_measured(probed_noise, tmp_path):
    power = Power((CanaryResult("sig", True, 20, num_found=3, num_others=0, evidence=True),))
    columns = columns_with_triggers(0)
    with_power = counted_split(probed_noise, tmp_path, columns, power)
    verdict = read_json(with_power.path / "verdict.json")
    assert verdict["power"] == to_plain(power)
    without = counted_split(probed_noise, tmp_path, columns)
    assert without.key != with_power.key
    assert read_json(without.path / "verdict.json") == {**verdict, "power": None}


def test_the_fractions_leave_no_verdict(probed_noise, tmp_path):
    split = split_noise(probed_noise, tmp_path, np.arange(129.0))
    names = {path.name for path in split.path.iterdir()}
    assert not names & {"verdict.json", "decision.parquet"}


def test_a_decision_without_its_columns_is_refused_when_it_is_planned(probed_noise):
    with pytest.raises(InputError, match="needs the column 'mirror'"):
        decide_step(
            Evidence(),
            "fct",
            probed_noise.suspect,
            evidence=probed_noise.probe,
            context=probed_noise.context,
            detectors=(Fct(),),
        )
