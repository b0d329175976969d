"""`ray-defense benchmark`: images/s of ingest, probe and scoring, as a table and as `benchmark.json`."""

from statistics import median
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ray_defense.cli.inert import inert
from ray_defense.cli.options import BenchmarkOptions
from ray_defense.cli.output import say, stdout
from ray_defense.cli.prepare import configured, prepared, where
from ray_defense.store.artifacts import directory

if TYPE_CHECKING:
    from ray_defense.studies.throughput import Throughput


def benchmark(options: BenchmarkOptions) -> int:
    """Measures and prints the table, what it was measured on, and where the numbers are."""
    work, console = options.work, stdout()
    with prepared(work, quiet=work.quiet):
        from ray_defense import api  # seconds: it loads torch

        found = api.benchmark(configured(work), **where(work), repeats=options.repeats)
    console.print(render(found))
    say(console, "benchmark.json", directory(work.store) / "benchmark.json")
    return 0


def render(found: "Throughput") -> RenderableType:
    """Returns images/s (median, range over the repeats) of each stage, and what ran it."""
    table = Table(box=SIMPLE_HEAD)
    for title in ("stage", "images", "images/s", "range"):
        table.add_column(title, no_wrap=True, justify="left" if title == "stage" else "right")
    for name in ("ingest", "probe", "scoring"):
        pace = getattr(found, name)
        low, middle, high = (f"{one(pace.images_per_s):,.0f}" for one in (min, median, max))
        table.add_row(name, f"{pace.images:,}", middle, f"{low}–{high}")
    room = found.room
    title = f"{inert(found.recipe)}, {found.num_samples:,} samples, {len(found.ingest.seconds)} times"
    measured_on = (
        f"training workers: {found.num_workers}, scoring actors: {found.num_actors}; nodes: {room.nodes}, CPUs: {room.cpus}, "
        f"GPUs: {room.gpus}; {found.num_parameters:,} parameters, {found.shard_bytes_per_sample:,.0f} bytes of shards a "
        f"sample, {found.checkpoint_bytes:,} bytes of a checkpoint"
    )
    return Group(Text(title), table, Text(measured_on))
