"""`ray-defense benchmark`: images/s of ingest, probe and scoring, as a table and as JSON."""

import argparse
from statistics import median
from typing import TYPE_CHECKING

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import RECIPES_HELP, WorkOptions, add_work_options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ray_defense.studies.throughput import Throughput


class BenchmarkCommand:
    """Measures, and prints the table, what it was measured on, and where the numbers are."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("recipe", help=RECIPES_HELP)
        add_work_options(parser)
        parser.add_argument(
            "--repeats",
            type=int,
            default=3,
            metavar="N",
            help="how often, each time from the start",
        )

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api
        from ray_defense.cli.output import print_named, stdout_console
        from ray_defense.store.artifacts import store_directory

        work = WorkOptions.of(options)
        with work.prepared():
            config = work.configured()
            throughput = api.benchmark(config, **work.where(), repeats=options.repeats)
        console = stdout_console()
        console.print(throughput_table(throughput))
        file = store_directory(work.store) / api.BENCHMARK_FILE
        print_named(console, api.BENCHMARK_FILE, file)
        return 0


def throughput_table(throughput: "Throughput") -> "RenderableType":
    """Returns images/s (median and range over the repeats) of each stage, and what ran it."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from ray_defense.core.escape_unprintable import escape_unprintable

    table = Table(box=SIMPLE_HEAD)
    table.add_column("stage", no_wrap=True)
    for title in ("images", "images/s", "range"):
        table.add_column(title, no_wrap=True, justify="right")
    for name in ("ingest", "probe", "scoring"):
        stage = getattr(throughput, name)
        rates = stage.images_per_s
        value_range = f"{min(rates):,.0f}–{max(rates):,.0f}"
        table.add_row(name, f"{stage.num_images:,}", f"{median(rates):,.0f}", value_range)
    recipe = escape_unprintable(throughput.recipe)
    num_repeats = len(throughput.ingest.seconds)
    resources = throughput.resources
    measured_on = (
        f"training workers: {throughput.num_workers}, scoring actors: {throughput.num_actors}; "
        f"nodes: {resources.num_nodes}, CPUs: {resources.num_cpus}, GPUs: {resources.num_gpus}; "
        f"{throughput.num_parameters:,} parameters, {throughput.shard_bytes_per_sample:,.0f} bytes "
        f"of shards a sample, {throughput.checkpoint_bytes:,} bytes of a checkpoint"
    )
    title = f"{recipe}, {throughput.num_samples:,} samples, {num_repeats} times"
    return Group(Text(title), table, Text(measured_on))


BENCHMARK = BenchmarkCommand()
