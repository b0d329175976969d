"""An audit as a user runs it, `ray-defense audit DIR`, on folders of PNG files.

    python -m benchmarks.audit --data DIR --images 2000 --stamped 0 100

DIR holds cifar10-train.parquet and tinyimagenet-train.parquet. The first images of some classes
become a folder. In so many of them, of other classes, a square is stamped into the lower right
corner, and they are moved into the first class. With `--record` the poisoned images lie apart, as
BackdoorBench leaves them. A process of its own audits each folder.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.audit.measure import AuditedFolder, measure_audit
from benchmarks.support import add_executor_options, add_set_option, open_study, study_parser

MODULE = "benchmarks.audit"


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--file", default="cifar10-train.parquet", help="in --data")
    parser.add_argument("--size", type=int, default=32, help="pixels of a side of the PNG files")
    parser.add_argument("--classes", type=int, default=10, help="the first so many")
    parser.add_argument("--images", type=int, nargs="+", default=[2000])
    parser.add_argument("--stamped", type=int, nargs="+", default=[0], help="of each folder")
    parser.add_argument("--patch", type=int, default=3, help="pixels of a side of the trigger")
    parser.add_argument("--trigger", choices=["square", "checkerboard"], default="square")
    parser.add_argument(
        "--group", type=int, default=1, help="so many classes of the file become one (default: 1)"
    )
    parser.add_argument("--record", action="store_true", help="write a record of BackdoorBench")
    parser.add_argument("--quick", action="store_true", help="as audit --quick")
    add_executor_options(parser)
    add_set_option(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures every folder."""
    options = command_parser().parse_args(arguments)
    words = ["--executor", options.executor, "--backend", options.backend]
    if options.quick:
        words.append("--quick")
    for assignment in options.set:
        words += ["--set", assignment]
    with open_study(MODULE, arguments, options.results) as study:
        for num_images in options.images:
            for num_stamped in options.stamped:
                folder = AuditedFolder(
                    file=options.data.resolve() / options.file,
                    size=options.size,
                    num_classes=options.classes,
                    num_images=num_images,
                    num_stamped=num_stamped,
                    patch=options.patch,
                    trigger=options.trigger,
                    group=options.group,
                    is_record=options.record,
                )
                name = f"{Path(options.file).stem}_{num_images}_stamped{num_stamped}"
                name += "_record" * options.record + "_quick" * options.quick
                measured = study.measure(name, partial(measure_audit, folder, words))
                study.store(name, {"quick": options.quick, "set": options.set, **measured})


if __name__ == "__main__":
    main()
