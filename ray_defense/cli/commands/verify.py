"""`ray-defense verify`: reads every file of a store or an audit and names the damaged ones."""

import argparse
import sys

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.progress_display import showing_progress
from ray_defense.core.errors import DamageError, InputError
from ray_defense.core.escape_unprintable import escape_unprintable


class VerifyCommand:
    """Prints one line for each damaged file."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("place", help="a store, a directory or URI, or the folder of an audit")
        parser.add_argument(
            "--rehash",
            action="store_true",
            help="read the audited files too: whether their pixels are those in the store",
        )
        parser.add_argument("--quiet", action="store_true", help="show no progress")

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense.exports.audit_folder import is_audit_folder
        from ray_defense.exports.verify_audit import verify_audit
        from ray_defense.store.verify import verify_store

        is_audit = is_audit_folder(options.place)
        if options.rehash and not is_audit:
            raise InputError(
                f"--rehash needs the folder of an audit, and {options.place!r} is none"
            )
        with showing_progress(quiet=options.quiet):
            if is_audit:
                result = verify_audit(options.place, rehash=options.rehash)
            else:
                result = verify_store(options.place)
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
