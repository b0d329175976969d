"""`ray-defense report`: table and report of a run that the store holds, nothing else."""

import argparse

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import WorkOptions, add_recipe_options, add_work_options


class ReportCommand:
    """Writes report and result of a finished run and prints its table."""

    def add_options(self, parser: CommandParser) -> None:
        add_recipe_options(parser)
        add_work_options(parser, executor=False)

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api
        from ray_defense.cli.tables.run_table import print_result

        work = WorkOptions.of(options)
        with work.prepared():
            result = api.report(work.configured(), store=work.checked_store())
        print_result(result, work.store)
        return 0


REPORT = ReportCommand()
