"""The seconds of a recipe on Ray over those of the same recipe in a single process.

    python -m benchmarks.ray_cost digits_badnets --repeats 3

The sides take turns, each in a process and a store of its own, with the backend `auto`. Every call
of the executor has a start-up, from the call until its first unit of work begins: a training
program, a block of scores (reader and model are open by then), a range of the source, a mapped
function. The rest is what counts: work, gaps, tear-down, closing.
"""

import argparse
from collections.abc import Sequence

from benchmarks.ray_cost.measure import compare_sides
from benchmarks.support import add_set_option, changed_recipe, open_study, study_parser
from ray_defense.pipeline.recipes import named_recipe

MODULE = "benchmarks.ray_cost"


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("recipe")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs (default: 3)")
    parser.add_argument(
        "--tag", default="", help="-NAME, added to the name of the file, where --set is used"
    )
    add_set_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the cost of one recipe."""
    options = command_parser().parse_args(arguments)
    recipe = changed_recipe(named_recipe(options.recipe), options.set)
    with open_study(MODULE, arguments, options.results) as study:
        figures = compare_sides(recipe, options.repeats, keep=study.measure)
        study.store(options.recipe + options.tag, {"changed": ", ".join(options.set), **figures})


if __name__ == "__main__":
    main()
