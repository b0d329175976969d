"""`ray-defense reproduce`: a table or figure of the paper, our numbers beside its own."""

import argparse
import shlex
import sys

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import WorkOptions, add_work_options


class ReproduceCommand:
    """Prints the plan with its hours and, unless only that is wanted, runs it."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("table", metavar="NAME", help="table1, table2, table3, fig5, appG, ...")
        parser.add_argument(
            "--scale",
            default="small",
            help="small: 20,000 images and small networks; paper: the paper's networks and epochs",
        )
        parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds, from 0")
        parser.add_argument(
            "--attack", action="append", default=[], help="a row, where not all are wanted"
        )
        parser.add_argument(
            "--out", metavar="DIR", help="the folder of the table; ./reproduced/NAME-SCALE"
        )
        parser.add_argument(
            "--plan", action="store_true", help="print what would run and how long; run nothing"
        )
        add_work_options(parser)

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api
        from ray_defense.cli.output import print_named, stdout_console
        from ray_defense.cli.tables.sweep_table import hours_lines, plan_lines
        from ray_defense.studies.reproduce import PAGE_FILE, TABLE_FILE

        options.recipe = None
        work = WorkOptions.of(options)
        console = stdout_console()
        with work.prepared(quiet=options.plan):
            asked = {
                "scale": options.scale,
                "seeds": options.seeds,
                "attacks": tuple(options.attack),
                "overrides": work.overrides(),
            }
            overview, hours = api.plan_reproduction(
                options.table, store=work.checked_store(), **asked
            )
            for line in (*plan_lines(overview, None), *hours_lines(hours)):
                console.print(line, soft_wrap=True, markup=False)
            if options.plan:
                return 0
            out = options.out or f"./reproduced/{options.table}-{options.scale}"
            command = shlex.join(["ray-defense", *sys.argv[1:]])
            folder = api.reproduce(options.table, out=out, command=command, **asked, **work.where())
        console.print((folder / TABLE_FILE).read_text(), soft_wrap=True, markup=False)
        for name in (TABLE_FILE, PAGE_FILE):
            print_named(console, name, folder / name)
        return 0


REPRODUCE = ReproduceCommand()
