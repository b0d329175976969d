"""`ray-defense audit`: is there a backdoor in these images, in which of them, and how sure?"""

import argparse
import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import WorkOptions, add_work_options
from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    from ray_defense.reports.audit import Audit

DEFAULT_OUT = "./audit"


# Fields of the sources that a user may have to name before the data can be read at all.
_SOURCE_OPTIONS = (
    ("--image-column", "NAME", "the column, or array, of images or of their paths"),
    ("--label-column", "NAME", "the column, or array, of labels"),
    ("--classes", "DEPTH", "of class folders: top, leaf or auto"),
    ("--layout", "KIND", "of a folder: splits, classes or auto"),
    ("--follow-links-below", "DIR", "read links of class folders that lead to what is below it"),
    ("--clean", "DATA", "of a record of BackdoorBench: the clean training set"),
    ("--target-label", "N", "of a record of BackdoorBench: the label that the attacker gave"),
    ("--max-pixels", "N", "of an image before it is resized"),
)


class AuditCommand:
    """Prints the verdict first; its exit code is 0 without evidence, 10 with it, 20 for neither."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("data", metavar="DATA", help="a folder or file of labeled images")
        parser.add_argument(
            "--out", default=DEFAULT_OUT, metavar="DIR", help="the folder of the audit"
        )
        parser.add_argument(
            "--trusted", metavar="DIR", help="images of the same classes that you vouch for"
        )
        parser.add_argument(
            "--quick", action="store_true", help="use only the fastest detectors, trained shortly"
        )
        parser.add_argument(
            "--size",
            default="auto",
            metavar="PIXELS",
            help="the side that images are resized to; auto: chosen from the data",
        )
        parser.add_argument(
            "--power",
            default="",
            metavar="N,N",
            help="plant so many canaries in copies and say how many were found: 50, or 20,100",
        )
        for option, metavar, text in _SOURCE_OPTIONS:
            parser.add_argument(option, metavar=metavar, help=text)
        parser.add_argument("--seed", type=int, default=0, help="of all draws")
        parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
        add_work_options(parser, store=False)

    def execute(self, options: argparse.Namespace) -> int:
        options.recipe = "folder"
        options.store = f"{options.out}/store"
        work = WorkOptions.of(options)
        with work.prepared():
            from ray_defense import api

            where = work.where()
            where.pop("store")
            audit = api.audit(
                options.data,
                out=options.out,
                trusted=options.trusted,
                size=_parse_size(options.size),
                quick=options.quick,
                power=_parse_sizes(options.power),
                seed=options.seed,
                settings=_source_settings(options),
                overrides=work.overrides(),
                command=shlex.join(["ray-defense", *_without_secrets(sys.argv[1:])]),
                **where,
            )
        if options.json:
            print(json.dumps(plain_answer(audit), indent=1))
        else:
            print_audit(audit)
        return audit.exit_code


def _without_secrets(words: list[str]) -> list[str]:
    """Returns the words of a command, with no credentials in those that are URIs."""
    from ray_defense.data.fetched_data import is_uri, shown_uri

    return [shown_uri(word) if is_uri(word) else word for word in words]


def _source_settings(options: argparse.Namespace) -> dict[str, str]:
    settings = {}
    for option, _, _ in _SOURCE_OPTIONS:
        name = option[2:].replace("-", "_")
        value = getattr(options, name)
        if value is not None:
            settings[name] = os.path.abspath(value) if name == "follow_links_below" else value
    return settings


def _parse_size(text: str) -> Any:
    if text == "auto":
        return text
    if not text.isascii() or not text.isdigit():
        raise InputError(f"--size needs a number of pixels or auto, not {text!r}")
    return int(text)


def _parse_sizes(text: str) -> tuple[int, ...]:
    sizes = []
    for part in text.split(",") if text else ():
        if not part.isascii() or not part.isdigit() or int(part) < 1:
            raise InputError(f"--power needs numbers such as 20,50, not {text!r}")
        sizes.append(int(part))
    return tuple(sizes)


def plain_answer(audit: "Audit") -> dict[str, Any]:
    """Returns what `--json` prints."""
    return {
        **audit.details,
        "headline": audit.headline,
        "classes_suspected": list(audit.classes_suspected),
        "num_rejected": audit.num_rejected,
        "seconds": round(audit.seconds, 1),
        "out": str(audit.out),
        "report": str(audit.report),
        "exit_code": audit.exit_code,
    }


def print_audit(audit: "Audit") -> None:
    """Prints the verdict, what was done, where the files are, and what to type next."""
    from ray_defense.core.escape_unprintable import escape_unprintable
    from ray_defense.pipeline.audit_gathering import next_steps

    print(escape_unprintable(audit.headline))
    for subject, choice in audit.choices.items():
        print(f"  {subject}: {escape_unprintable(choice)}")
    if audit.num_rejected:
        print(
            f"  {audit.num_rejected} files could not be read and were not audited: see rejected.csv"
        )
    for note in audit.notes:
        print(f"  note: {escape_unprintable(note)}")
    if audit.num_cached == audit.num_stages:
        print(f"  found {audit.num_cached} of {audit.num_stages} stages, nothing computed")
    else:
        print(f"  the work took {audit.seconds:.0f} s; {audit.num_cached} stages were there before")
    print(f"report: {escape_unprintable(audit.report)}")
    print(f"tables: {escape_unprintable(audit.out / 'audit.csv')}")
    print("next:")
    for step in next_steps(audit):
        print(f"  {escape_unprintable(step.command)}")


AUDIT = AuditCommand()
