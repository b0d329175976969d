"""`ray-defense audit`: is there a backdoor in these images, in which of them, and how sure?"""

import argparse
import json
from typing import TYPE_CHECKING, Any

from ray_defense.cli.data_options import add_data_options, command_line, data_arguments
from ray_defense.cli.parser import CommandParser
from ray_defense.cli.work_options import WorkOptions, add_work_options
from ray_defense.core.errors import InputError

if TYPE_CHECKING:
    from ray_defense.reports.audit import Audit


class AuditCommand:
    """Prints the verdict first; its exit code is 0 without evidence, 10 with it, 20 for neither."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("data", metavar="DATA", help="a folder or file of labeled images")
        add_data_options(parser)
        parser.add_argument(
            "--model",
            metavar="NAME",
            help="the network of the probe: resnet18, or torchvision:resnet50; else by the size",
        )
        parser.add_argument(
            "--weights",
            metavar="FILE",
            help="pretrained weights that the probe starts from, safetensors or a state dict",
        )
        parser.add_argument(
            "--power",
            default="",
            metavar="N,N",
            help="plant so many canaries in copies and say how many were found: 50, or 20,100",
        )
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
                power=_parse_sizes(options.power),
                seed=options.seed,
                model=options.model,
                weights=options.weights,
                overrides=work.overrides(),
                command=command_line(),
                **data_arguments(options),
                **where,
            )
        if options.json:
            print(json.dumps(plain_answer(audit), indent=1))
        else:
            print_audit(audit)
        return audit.exit_code


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
