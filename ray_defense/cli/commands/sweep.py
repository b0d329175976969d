"""`ray-defense sweep`: the plan of many runs, then the runs, their table and its page."""

import argparse
from typing import TYPE_CHECKING, Any

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import WorkOptions, add_recipe_options, add_work_options
from ray_defense.core.config import override
from ray_defense.core.errors import InputError, look_up

if TYPE_CHECKING:
    from ray_defense.pipeline.recipe import Recipe
    from ray_defense.sweeps.grid import Trial
    from ray_defense.sweeps.sweep import SearchStrategy


class SweepCommand:
    """Prints the plan and, unless only that is wanted, runs it and prints the table."""

    def add_options(self, parser: CommandParser) -> None:
        add_recipe_options(parser)
        add_work_options(parser)
        parser.add_argument(
            "--grid",
            action="append",
            default=[],
            metavar="PATH=VALUE,VALUE",
            help="an axis: seed=0,1,2 or detect.fct.tau=all-pairs; values with commas stand apart "
            "by semicolons; repeatable",
        )
        parser.add_argument(
            "--named", metavar="NAME", help="a figure of the paper that `list` names"
        )
        parser.add_argument(
            "--samples", type=int, metavar="N", help="run N trials drawn from the grid, not all"
        )
        parser.add_argument(
            "--search",
            choices=("optuna",),
            help="choose the N one after another by Optuna, not by chance",
        )
        parser.add_argument(
            "--metric",
            metavar="NAME",
            help="what leads the search: flagged_concentration, probe_train_accuracy, ...: a "
            "number that needs no truth and no test set",
        )
        parser.add_argument(
            "--mode",
            choices=("max", "min"),
            help="whether more or less of it is better, if not as usual",
        )
        parser.add_argument(
            "--batch", type=int, metavar="N", help="trials that the search asks for at a time"
        )
        parser.add_argument(
            "--asha",
            metavar="STAGE.METRIC",
            help="stop trials early that do worse than most (ASHA): backdoored.loss, "
            "probe.accuracy:max",
        )
        parser.add_argument(
            "--resume",
            action="store_true",
            help="only go on with a sweep that the store holds unfinished",
        )
        parser.add_argument(
            "--plan",
            action="store_true",
            help="print what would run and what the store holds; run nothing",
        )

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense import api
        from ray_defense.cli.output import stdout_console
        from ray_defense.cli.tables.sweep_table import plan_lines, print_sweep

        work = WorkOptions.of(options)
        console = stdout_console()
        with work.prepared(quiet=options.plan):
            base, trials = _planned_trials(options, work)
            strategy = _strategy(options)
            overview = api.plan_sweep(
                trials, store=work.checked_store(), executor=work.executor, strategy=strategy
            )
            for line in plan_lines(overview, strategy):
                console.print(line, soft_wrap=True, markup=False)
            if options.resume:
                api.check_sweep_unfinished(base, trials, store=work.store, strategy=strategy)
            if options.plan:
                return 0
            folder = api.sweep(base, trials, **work.where(), strategy=strategy)
        print_sweep(console, folder, trials, strategy)
        return 0


def _planned_trials(options: argparse.Namespace, work: WorkOptions) -> "tuple[Recipe, list[Trial]]":
    """Returns the recipe that is swept, and the trials that its grid or a draw from it has."""
    from ray_defense.pipeline.recipes.paper_sweeps import PAPER_SWEEPS
    from ray_defense.sweeps.grid import grid_trials, parse_axis, sampled_trials

    base = work.configured()
    axis_texts = list(options.grid)
    if options.named is not None:
        named = look_up(PAPER_SWEEPS, "sweep", options.named)
        for path, value in named.changes:
            base = override(base, path, value)
        axis_texts = [*named.axes, *axis_texts]
    axes = [parse_axis(text) for text in axis_texts]
    if options.samples is None or options.search is not None:  # a search chooses from all
        return base, grid_trials(base, axes)
    if options.samples < 1:
        raise InputError(f"--samples must be at least 1, not {options.samples}")
    return base, sampled_trials(base, axes, options.samples, base.seed)


def _strategy(options: argparse.Namespace) -> "SearchStrategy":
    """Returns how to go through the trials."""
    if options.search is not None:
        return _search(options)
    for name in ("metric", "mode", "batch"):
        if getattr(options, name) is not None:
            raise InputError(f"--{name} leads a search: add --search optuna, or leave it out")
    if options.asha is None:
        return None
    from ray_defense.sweeps.asha import parse_asha

    return parse_asha(options.asha)


def _search(options: argparse.Namespace) -> "SearchStrategy":
    from ray_defense.reports.metrics import better_mode
    from ray_defense.sweeps.search import Search

    if options.asha is not None:
        raise InputError(
            "--search and --asha do not go together: the search would learn from who was stopped, "
            "which chance decides"
        )
    for name in ("samples", "metric"):
        if getattr(options, name) is None:
            raise InputError(
                f"--search {options.search} needs --{name}: for example --samples 20 "
                "--metric flagged_concentration"
            )
    settings: dict[str, Any] = {}
    if options.batch is not None:
        settings["batch_size"] = options.batch
    mode = options.mode or better_mode(options.metric)
    return Search(options.samples, options.metric, mode, **settings)


SWEEP = SweepCommand()
