"""`ray-defense detect`: is there a backdoor in the data, where, and how sure is that?"""

import argparse

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import (
    WorkOptions,
    add_print_config_option,
    add_recipe_options,
    add_work_options,
    print_config,
)


class DetectCommand:
    """Prints the verdict, what each column of the evidence contributed, and where the files are."""

    def add_options(self, parser: CommandParser) -> None:
        add_recipe_options(parser)
        add_work_options(parser)
        add_print_config_option(parser)

    def execute(self, options: argparse.Namespace) -> int:
        work = WorkOptions.of(options)
        with work.prepared(quiet=options.print_config):
            config = work.configured()
            if options.print_config:
                print_config(config)
                return 0
            from ray_defense import api

            detection = api.detect(config, **work.where())
        from ray_defense.cli.tables.detection_table import print_detection

        print_detection(detection.recipe, detection)
        return 0


DETECT = DetectCommand()
