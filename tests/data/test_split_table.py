"""A split that was written is read back, and its parts are told apart."""

import numpy as np
import pyarrow.parquet as pq

from ray_defense.data.split_table import SPLIT_FILE, SplitTable, read_split, write_split


def test_a_split_survives_the_round_trip_and_names_its_members(tmp_path):
    split = SplitTable(
        index=np.array([3, 5, 8, 9]),
        score=np.array([0.5, -1.0, 2.0, 0.25]),
        part=np.array(["uncertain", "trusted", "flagged", "uncertain"]),
    )
    write_split(tmp_path, split)
    restored = read_split(tmp_path)
    np.testing.assert_array_equal(restored.index, split.index)
    np.testing.assert_array_equal(restored.score, split.score)
    np.testing.assert_array_equal(restored.part, split.part)
    assert restored.members("flagged").tolist() == [8]
    assert restored.members("uncertain").tolist() == [3, 9]
    assert pq.read_schema(tmp_path / SPLIT_FILE).names == ["index", "score", "split"]
