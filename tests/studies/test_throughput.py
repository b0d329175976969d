"""Throughput counts images by epochs and views, reads no test set, and leaves only its numbers."""

from pathlib import Path

import pytest

from ray_defense import api
from ray_defense.core.errors import InputError
from ray_defense.core.files import write_json
from tests.support import tiny


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits whose test set nobody can read."""
    folder = tmp_path_factory.mktemp("digits")
    tiny.write_digits(folder)
    (folder / "test.parquet").write_bytes(b"PAR1 is how this begins and all that it has of Parquet")
    return folder


def test_throughput_counts_images_by_epochs_and_views_and_leaves_only_its_numbers(
    digits: Path, tmp_path: Path
):
    throughput = api.benchmark(tiny.recipe(digits), store=tmp_path, backend="numpy", repeats=2)
    assert throughput.ingest.num_images == 256
    assert throughput.probe.num_images == 256 * 3
    assert throughput.scoring.num_images == 256 * 2
    for stage in (throughput.ingest, throughput.probe, throughput.scoring):
        assert len(stage.seconds) == 2
        rates = [stage.num_images / seconds for seconds in stage.seconds]
        assert stage.images_per_s == rates
    assert throughput.num_actors == 1
    assert throughput.resources.num_nodes == 1
    # A checkpoint holds the weights and their momenta.
    bytes_of_weights = 4 * throughput.num_parameters
    assert bytes_of_weights < throughput.checkpoint_bytes < 5 * bytes_of_weights
    assert throughput.shard_bytes_per_sample > 32 * 32 * 3
    assert [path.name for path in tmp_path.iterdir()] == ["benchmark.json"]
    write_json(tmp_path / "expected", throughput)
    expected = (tmp_path / "expected").read_bytes()
    assert (tmp_path / "benchmark.json").read_bytes() == expected


def test_throughput_measured_less_than_once_is_refused(digits: Path, tmp_path: Path):
    with pytest.raises(InputError, match="repeats"):
        api.benchmark(tiny.recipe(digits), store=tmp_path, repeats=0)
    assert not list(tmp_path.iterdir())
