"""`ray-defense export`: one part of an audit in the form that another program reads."""

import argparse

from ray_defense.cli.parser import CommandParser
from ray_defense.exports import EXPORTS

_PARTS = {
    "kept": "all samples that are not flagged",
    "flagged": "the flagged samples",
    "uncertain": "the samples that are neither trusted nor flagged",
    "trusted": "the samples that count as clean",
}


class ExportCommand:
    """Prints how many samples were written, what to know of them, and where they are."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("audit", help="the folder that ray-defense audit wrote")
        parts = parser.add_mutually_exclusive_group(required=True)
        for part, meaning in _PARTS.items():
            parts.add_argument(
                f"--{part}", dest="part", action="store_const", const=part, help=meaning
            )
        parser.add_argument(
            "--as", dest="form", choices=tuple(EXPORTS), required=True, help="the form"
        )
        parser.add_argument(
            "--out", metavar="DIR", required=True, help="a new or an empty folder to write"
        )
        parser.add_argument(
            "--data", metavar="DIR", help="where the audited data lies now, if it has moved"
        )
        parser.add_argument("--quiet", action="store_true", help="show no progress")

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api
        from ray_defense.cli.output import print_named, stdout_console
        from ray_defense.cli.progress_display import showing_progress
        from ray_defense.core.escape_unprintable import escape_unprintable

        with showing_progress(quiet=options.quiet):
            summary = api.export(
                options.audit, options.part, options.form, options.out, data=options.data
            )
        console = stdout_console()
        counts = f"{summary.num_written} samples written, {summary.num_left} left out"
        console.print(f"{summary.part}: {counts}", markup=False)
        for note in summary.notes:
            console.print(f"note: {escape_unprintable(note)}", soft_wrap=True, markup=False)
        print_named(console, "folder", summary.out)
        return 0


EXPORT = ExportCommand()
