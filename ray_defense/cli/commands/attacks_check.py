"""`ray-defense attacks check`: whether attacks work, as a table."""

import argparse
from dataclasses import replace

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import (
    DEFAULT_RECIPE,
    RECIPES_HELP,
    WorkOptions,
    add_work_options,
)
from ray_defense.core.errors import InputError


class CheckCommand:
    """Prints the table of the named attacks, or of all."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "attacks",
            nargs="*",
            default=[],
            metavar="attack",
            help="an attack that `ray-defense list` names; all, if none is named",
        )
        parser.add_argument(
            "--recipe", default=DEFAULT_RECIPE, metavar="NAME", help=f"{RECIPES_HELP}, for the rest"
        )
        add_work_options(parser)

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api
        from ray_defense.attacks import ATTACKS
        from ray_defense.cli.output import print_named, stdout_console
        from ray_defense.cli.tables.attacks_table import attacks_table
        from ray_defense.store.artifacts import store_directory
        from ray_defense.studies.attack_strength import RESULT_FILE

        work = WorkOptions.of(options)
        with work.prepared():
            configs = []
            for name in dict.fromkeys(options.attacks or ATTACKS):
                configs.append(work.configured(attack=name))
            recipe = replace(configs[0], attack=None)
            attacks = [config.attack for config in configs if config.attack is not None]
            rows = api.check_attacks(recipe, attacks, **work.where())
        console = stdout_console()
        console.print(attacks_table(recipe, rows))
        print_named(console, RESULT_FILE, store_directory(work.store) / RESULT_FILE)
        refused = [row.attack for row in rows if row.refused is not None]
        if refused:
            raise InputError(
                f"{len(refused)} of {len(rows)} attacks were refused, for the reasons above: "
                f"{', '.join(refused)}"
            )
        return 0


CHECK = CheckCommand()
