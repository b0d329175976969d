"""`ray-defense verify`: reads every file of a store and names the damaged ones."""

import argparse
import sys

from ray_defense.cli.escape_unprintable import escape_unprintable
from ray_defense.cli.parser import CommandParser
from ray_defense.cli.progress_display import showing_progress
from ray_defense.core.errors import DamageError


class VerifyCommand:
    """Prints one line for each damaged file."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("store", help="the directory or URI of the store")
        parser.add_argument("--quiet", action="store_true", help="show no progress")

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense.store.verify import verify_store

        with showing_progress(quiet=options.quiet):
            result = verify_store(options.store)
        counts = f"{result.num_files} files of {result.num_artifacts} finished artifacts were read"
        for damage in result.damages:
            print(escape_unprintable(damage))
        if result.damages:
            num_damages = len(result.damages)
            print(f"ray-defense: {counts}, {num_damages} are damaged", file=sys.stderr)
            return DamageError.exit_code
        print(f"{counts}: all are what was written")
        return 0


VERIFY = VerifyCommand()
