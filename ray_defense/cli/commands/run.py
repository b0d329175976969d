"""`ray-defense run` and `demo`: a recipe, its progress, its numbers and where they are."""

import argparse
from dataclasses import dataclass

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import (
    DEFAULT_RECIPE,
    WorkOptions,
    add_print_config_option,
    add_recipe_options,
    add_work_options,
    print_config,
)


@dataclass(frozen=True)
class RunCommand:
    """Runs a recipe and prints its table, or prints the configuration that would run."""

    fixed_recipe: str | None = None  # None: the recipe is an argument

    def add_options(self, parser: CommandParser) -> None:
        if self.fixed_recipe is None:
            add_recipe_options(parser)
        add_work_options(parser)
        add_print_config_option(parser)

    def execute(self, options: argparse.Namespace) -> int:
        if self.fixed_recipe is not None:
            options.recipe = self.fixed_recipe
        work = WorkOptions.of(options)
        with work.prepared(quiet=options.print_config):
            config = work.configured()
            if options.print_config:
                print_config(config)
                return 0
            from ray_defense import api

            result = api.run(config, **work.where())
        from ray_defense.cli.tables.run_table import print_result

        print_result(result, work.store)
        return 0


RUN = RunCommand()
DEMO = RunCommand(fixed_recipe=DEFAULT_RECIPE)
