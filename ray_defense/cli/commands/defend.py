"""`ray-defense defend`: split and defended models of data whose answers nobody may see."""

import argparse
import os
import shlex
from typing import TYPE_CHECKING, Any

from ray_defense.cli.data_options import (
    add_data_options,
    command_line,
    data_arguments,
    has_data_options,
)
from ray_defense.cli.model_options import add_model_options, user_model
from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import WorkOptions, add_recipe_options, add_work_options
from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ray_defense.reports.audit import Audit
    from ray_defense.reports.result import DefendedResult


class DefendCommand:
    """Prints the counts of the split, what to doubt, and where split and models are.

    Data that have not been audited are audited first; their verdict is then the first line, and
    with "not assessable" the command ends there, with that exit code.
    """

    def add_options(self, parser: CommandParser) -> None:
        add_recipe_options(parser)
        parser.add_argument(
            "--method",
            metavar="NAME",
            help="with the folder of an audit, or with images, in place of a recipe: d-st trains a "
            "model from scratch, d-br repairs one that is trained on everything, or --model",
        )
        add_model_options(parser)
        add_data_options(parser)
        add_work_options(parser)

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api

        if options.method is None:
            _check_no_audit(options)
            work = WorkOptions.of(options)
            with work.prepared():
                result = api.defend(work.configured(), **work.where())
            _print_result(result)
            return 0
        return _defend_data(options)


def _check_no_audit(options: argparse.Namespace) -> None:
    """Raises InputError if an audit, or a model, is named without what to do with it."""
    from ray_defense.exports.audit_folder import is_audit_folder

    if options.recipe is not None and is_audit_folder(options.recipe):
        raise InputError(
            f"name what to do with the audit {options.recipe!r}: --method d-st or --method d-br"
        )
    if user_model(options) is not None:
        raise InputError("--model needs --method d-br, and the folder of an audit or images")


def _defend_data(options: argparse.Namespace) -> int:
    """Defends the folder of an audit, or images, which are audited first."""
    from ray_defense import api
    from ray_defense.exports.audit_folder import is_audit_folder

    named = _checked_data(options)
    model = user_model(options)
    folder = named if is_audit_folder(named) else options.out
    options.recipe = None
    options.store = f"{folder}/store"
    work = WorkOptions.of(options)
    with work.prepared():
        where = work.where()
        where.pop("store")
        overrides = work.overrides()
        if folder != named:
            audit, overrides = _audit(named, options, overrides, where)
            if audit.verdict == "not assessable":
                print(
                    "no model was made, since nobody can say what to train it on; to make one all "
                    f"the same: ray-defense defend {shlex.quote(str(audit.out))} "
                    f"--method {options.method}"
                )
                return audit.exit_code
        result = api.defend_audit(folder, options.method, model=model, overrides=overrides, **where)
    _print_result(result)
    return 0


def _audit(
    data: str, options: argparse.Namespace, overrides: dict[str, str], where: dict[str, Any]
) -> "tuple[Audit, dict[str, str]]":
    """Returns the audit of some images, and the overrides that are left for the defense."""
    from ray_defense import api
    from ray_defense.core.escape_unprintable import escape_unprintable
    from ray_defense.pipeline.audit_recipe import divide_overrides
    from ray_defense.pipeline.user_model import check_defense

    check_defense(options.method, user_model(options))
    of_audit, of_defense = divide_overrides(overrides)
    audit = api.audit(
        data,
        overrides=of_audit,
        command=command_line(),
        **data_arguments(options),
        **where,
    )
    print(escape_unprintable(audit.headline))
    print(f"report: {escape_unprintable(audit.report)}")
    return audit, of_defense


def _checked_data(options: argparse.Namespace) -> str:
    """Returns the audit or the images that are to be defended."""
    from ray_defense.exports.audit_folder import is_audit_folder
    from ray_defense.pipeline.recipes import RECIPES

    named: str | None = options.recipe
    if named is None or (named in RECIPES and not os.path.exists(named)):
        raise InputError(
            f"--method needs the folder of an audit, or images, and {named!r} is none: name them, "
            "or choose the defenses of a recipe with --set defenses=d_st"
        )
    if options.config is not None:
        raise InputError(f"--config {options.config}: an audit has a configuration of its own")
    if is_audit_folder(named) and has_data_options(options):
        raise InputError(
            f"{named!r} is audited already, and options such as --size are of an audit: leave them "
            "out, or name the images and another --out"
        )
    return named


def _print_result(result: "DefendedResult") -> None:
    from ray_defense.cli.output import print_named, stdout_console

    console = stdout_console()
    console.print(defended_table(result))
    for name, path in result.files.items():
        print_named(console, name, path)
    if result.load_line:
        print_named(console, "load it with", result.load_line)


def defended_table(result: "DefendedResult") -> "RenderableType":
    """Returns the counts of the split, what became of a model of the user, and the notes."""
    from rich.console import Group
    from rich.text import Text

    from ray_defense.cli.tables.run_table import warning_lines
    from ray_defense.core.escape_unprintable import escape_unprintable

    counts = ", ".join(f"{count} {part}" for part, count in result.counts.items())
    title = f"{escape_unprintable(result.recipe)}, seed {result.seed}: {counts}"
    sentences = [Text(escape_unprintable(sentence)) for sentence in result.sentences]
    return Group(Text(title), *sentences, *warning_lines(result.notes))


DEFEND = DefendCommand()
