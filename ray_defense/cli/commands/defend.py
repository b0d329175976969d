"""`ray-defense defend`: split and defended models of data whose answers nobody may see."""

import argparse
from typing import TYPE_CHECKING

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import WorkOptions, add_recipe_options, add_work_options
from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ray_defense.reports.result import DefendedResult


class DefendCommand:
    """Prints the counts of the split, what to doubt, and where split and models are."""

    def add_options(self, parser: CommandParser) -> None:
        add_recipe_options(parser)
        parser.add_argument(
            "--method",
            metavar="NAME",
            help="with the folder of an audit in place of a recipe: d-st trains a model from "
            "scratch, d-br repairs one that is trained on everything",
        )
        add_work_options(parser)

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api
        from ray_defense.cli.output import print_named, stdout_console

        audit = _audit_named(options)
        if audit is not None:
            options.recipe = None
            options.store = f"{audit}/store"
        work = WorkOptions.of(options)
        with work.prepared():
            where = work.where()
            if audit is None:
                result = api.defend(work.configured(), **where)
            else:
                where.pop("store")
                overrides = work.overrides()
                result = api.defend_audit(audit, options.method, overrides=overrides, **where)
        console = stdout_console()
        console.print(defended_table(result))
        for name, path in result.files.items():
            print_named(console, name, path)
        return 0


def _audit_named(options: argparse.Namespace) -> str | None:
    """Returns the folder of the audit that is to be defended, or None where a recipe is named.

    Raises:
        InputError: If --method is given without an audit, or an audit without --method.
    """
    from ray_defense.exports.audit_folder import is_audit_folder

    named: str | None = options.recipe
    is_audit = named is not None and is_audit_folder(named)
    if is_audit and options.method is None:
        raise InputError(
            f"name what to do with the audit {named!r}: --method d-st or --method d-br"
        )
    if options.method is not None and not is_audit:
        raise InputError(
            f"--method needs the folder of an audit, and {named!r} is none: run ray-defense audit "
            "first, or choose the defenses of a recipe with --set defenses=d_st"
        )
    return named if is_audit else None


def defended_table(result: "DefendedResult") -> "RenderableType":
    """Returns the counts of the split and the notes."""
    from rich.console import Group
    from rich.text import Text

    from ray_defense.cli.tables.run_table import warning_lines
    from ray_defense.core.escape_unprintable import escape_unprintable

    counts = ", ".join(f"{count} {part}" for part, count in result.counts.items())
    title = f"{escape_unprintable(result.recipe)}, seed {result.seed}: {counts}"
    return Group(Text(title), *warning_lines(result.notes))


DEFEND = DefendCommand()
