"""Evidence joined from the parts of blocks: what is missing or doubled is not passed on."""

import numpy as np
import pyarrow as pa
import pytest

from ray_defense.core.errors import RunError
from ray_defense.data.evidence_table import EVIDENCE_FILE, read_scores
from ray_defense.data.table_file import write_sealed_table
from ray_defense.detectors.feature_scorer import cut_into_blocks
from ray_defense.stages.detect import DetectConfig
from ray_defense.stages.evidence import block_part, join_blocks
from ray_defense.store.artifacts import Artifact, Store


def write_parts(probed_noise, artifact: Artifact, scores: np.ndarray) -> list:
    """Writes the parts of blocks of 20 and returns the blocks."""
    artifact.scratch.mkdir(parents=True)
    dataset = probed_noise.dataset
    blocks = cut_into_blocks(dataset, 20)
    for block in blocks:
        in_shard = np.flatnonzero(dataset.shard == block.shard)
        positions = in_shard[block.low : block.high]
        columns = {"index": dataset.index[positions], "fct": scores[positions]}
        write_sealed_table(block_part(artifact, block), pa.table(columns))
    return blocks


@pytest.fixture
def artifact(tmp_path) -> Artifact:
    return Store(tmp_path).locate("evidence", 1, {}, {})


def test_the_parts_of_blocks_are_joined_by_index(probed_noise, artifact):
    scores = np.random.default_rng(0).random(129)
    blocks = write_parts(probed_noise, artifact, scores)
    join_blocks(artifact, DetectConfig(), blocks[::-1], dataset=probed_noise.dataset)
    index, joined = read_scores(artifact.work, "fct")
    assert np.array_equal(index, probed_noise.dataset.index)
    assert np.array_equal(joined, scores)


def test_a_missing_or_doubled_block_fails(probed_noise, artifact):
    blocks = write_parts(probed_noise, artifact, np.zeros(129))
    for wrong, count in ((blocks[1:], 109), ([*blocks, blocks[0]], 149)):
        with pytest.raises(RunError, match=f"{count} scores for 129 samples: remove"):
            join_blocks(artifact, DetectConfig(), wrong, dataset=probed_noise.dataset)
    assert not (artifact.work / EVIDENCE_FILE).exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_fails(probed_noise, artifact, value):
    scores = np.zeros(129)
    scores[[3, 128]] = value
    blocks = write_parts(probed_noise, artifact, scores)
    with pytest.raises(RunError, match="2 scores are not finite"):
        join_blocks(artifact, DetectConfig(), blocks, dataset=probed_noise.dataset)
