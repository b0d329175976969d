"""The tables of docs/scaling.md that state constants: measured, assumed, counted; and the list."""

from benchmarks.documents import Table, Tables
from benchmarks.scaling.datasets import cifar10, imagenet200
from benchmarks.scaling.epochs import checkpoint_bytes
from benchmarks.scaling.gpu_table import guesses_table
from benchmarks.scaling.inputs import ASSUMED, Constant, measured_constants
from benchmarks.scaling.plan_tables import (
    MB,
    ingest_table,
    science_table,
    scoring_table,
    training_table,
    whole_runs_table,
)
from benchmarks.scaling.stages import training_stages


def models_table() -> Table:
    """Returns what the models of both recipes weigh."""
    head = [
        "dataset",
        "stage",
        "trained parameters",
        "gradients, MB",
        "buffers, kB",
        "GFLOP an image forward",
        "a checkpoint, MB",
    ]
    rows = []
    for data in (cifar10(), imagenet200()):
        for stage in training_stages(data):
            network = stage.network
            cells = [
                data.name,
                stage.name,
                f"{network.num_trained:,}",
                f"{4 * network.num_trained / MB:.1f}",
                f"{network.buffer_bytes / 1000:.1f}",
                f"{network.flops / 1e9:.2f}",
                f"{(checkpoint_bytes(stage) + stage.kept_bytes) / MB:.0f}",
            ]
            rows.append(cells)
    return Table(head, rows)


def measured_table() -> Table:
    """Returns the measured constants with their files."""
    return _constants_table(measured_constants(), "in `results/`")


def assumed_table() -> Table:
    """Returns the assumed constants with the reason of each."""
    return _constants_table(ASSUMED, "why")


def _constants_table(constants: dict[str, Constant], source_title: str) -> Table:
    rows = []
    for name, constant in constants.items():
        rows.append([f"`{name}`", _number(constant.value), constant.unit, constant.source])
    return Table(["constant", "value", "unit", source_title], rows)


def _number(value: float) -> str:
    if value >= 1e6 or value < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"


SCALING_TABLES: Tables = {
    "measured": measured_table,
    "assumed": assumed_table,
    "models": models_table,
    "science": science_table,
    "cifar10_ingest": lambda: ingest_table(cifar10()),
    "cifar10_score": lambda: scoring_table(cifar10()),
    "cifar10_training": lambda: training_table(cifar10()),
    "imagenet200_ingest": lambda: ingest_table(imagenet200()),
    "imagenet200_score": lambda: scoring_table(imagenet200()),
    "imagenet200_training": lambda: training_table(imagenet200()),
    "whole_sweeps": whole_runs_table,
    "guesses": guesses_table,
}
