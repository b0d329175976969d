"""Four users type the lines of docs/first-answers.md, in one new clone.

    python -m benchmarks.first_answers --photos cifar10-train.parquet --images 2000

The engineer's folder holds the first images of a Parquet file; a twentieth of them has a white
square and lies in the first class. The clone gets an environment of its own.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.audit.measure import AuditedFolder
from benchmarks.first_answers.steps import commands_by_heading, run_steps
from benchmarks.support import ROOT, open_study, study_parser

MODULE = "benchmarks.first_answers"
PAGE = "docs/first-answers.md"
_SHARE_STAMPED = 0.05


def measure_users(photos: Path, num_images: int) -> dict[str, Any]:
    """Returns what the installation took, and each command of each user.

    Args:
        photos: A Parquet file of images.
        num_images: So many of them are the engineer's.
    """
    with tempfile.TemporaryDirectory() as base:
        clone = Path(base, "ray_defense")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        folder = AuditedFolder(
            file=photos,
            size=32,
            num_classes=10,
            num_images=num_images,
            num_stamped=round(_SHARE_STAMPED * num_images),
            patch=3,
        )
        written = folder.write(Path(base))
        Path(written.words[0]).rename(clone / "photos")
        (installation,) = run_steps(["./run.sh list"], clone)
        users = {}
        for user, commands in commands_by_heading((clone / PAGE).read_text()).items():
            users[user] = list(run_steps(commands, clone))
        return {"num_photos": num_images, "installation": installation, "users": users}


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = study_parser(MODULE, __doc__)
    parser.add_argument("--photos", type=Path, required=True, metavar="FILE", help="Parquet")
    parser.add_argument("--images", type=int, default=2000, help="of the folder (default: 2000)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the users."""
    options = command_parser().parse_args(arguments)
    with open_study(MODULE, arguments, options.results) as study:
        measure = partial(measure_users, options.photos.resolve(), options.images)
        study.store("users", study.measure("users", measure))


if __name__ == "__main__":
    main()
