"""`ray-defense attacks preview`: what an attack does to images, as a PNG."""

import argparse
from pathlib import Path

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import (
    DEFAULT_RECIPE,
    RECIPES_HELP,
    WorkOptions,
    add_work_options,
)
from ray_defense.core.errors import InputError


class PreviewCommand:
    """Writes the contact sheet of one attack and prints its path."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("attack", help="one of the attacks that `ray-defense list` names")
        parser.add_argument("--source", metavar="NAME", help="whose images, if not the recipe's")
        parser.add_argument(
            "--output", metavar="FILE", help="the PNG to write, if not ATTACK.png here"
        )
        parser.add_argument(
            "--recipe", default=DEFAULT_RECIPE, metavar="NAME", help=f"{RECIPES_HELP}, for the rest"
        )
        add_work_options(parser)

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api
        from ray_defense.core.escape_unprintable import escape_unprintable
        from ray_defense.core.files import write_bytes

        work = WorkOptions.of(options)
        output = Path(options.output or f"{options.attack}.png").expanduser().resolve()
        with work.prepared():
            config = work.configured(attack=options.attack, source=options.source)
            if output.is_dir() or not output.parent.is_dir():
                raise InputError(
                    f"cannot write {output}: name a file in a folder that is there with --output"
                )
            sheet = api.preview_attack(config, **work.where())
            write_bytes(output, sheet)
        print(escape_unprintable(output))
        return 0


PREVIEW = PreviewCommand()
