"""`benchmark`: images/s as medians with their range, and what they were measured on."""

from pathlib import Path

import pytest

from ray_defense.cli.commands.benchmark import throughput_table
from ray_defense.cli.main import main
from ray_defense.execution.placement import ANYWHERE
from ray_defense.execution.protocols import ClusterResources
from ray_defense.studies.throughput import StageThroughput, Throughput
from tests.support.command_line import as_text, line_with, replace_call


@pytest.fixture
def throughput() -> Throughput:
    stage = StageThroughput(3000, [1.0, 3.0, 2.0], [3000.0, 1000.0, 1500.0])
    return Throughput(
        recipe="digits_badnets",
        num_samples=1500,
        ingest=stage,
        probe=stage,
        scoring=stage,
        num_parameters=78042,
        shard_bytes_per_sample=3100.0,
        checkpoint_bytes=971039,
        num_workers=1,
        num_actors=3,
        resources=ClusterResources(num_nodes=2, num_cpus=16, num_gpus=4, num_actors=8),
        versions={},
    )


def test_throughput_is_shown_as_medians_with_their_range(
    throughput: Throughput,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
):
    calls = replace_call(monkeypatch, "benchmark", lambda recipe, **options: throughput)
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "digits_badnets", "--store", "s", "--repeats", "3"]) == 0
    assert calls.options == [
        {
            "store": "s",
            "executor": "ray",
            "backend": "auto",
            "placement": ANYWHERE,
            "repeats": 3,
        }
    ]
    shown = capsys.readouterr().out
    cells = line_with(shown, "scoring  ").split()
    assert cells == ["scoring", "3,000", "1,500", "1,000–3,000"]
    assert "scoring actors: 3; nodes: 2, CPUs: 16, GPUs: 4" in shown
    assert shown.endswith(f"{tmp_path / 's' / 'benchmark.json'}\n")


def test_the_table_fits_eighty_columns(throughput: Throughput):
    lines = as_text(throughput_table(throughput), width=80).splitlines()
    assert max(map(len, lines)) <= 80
