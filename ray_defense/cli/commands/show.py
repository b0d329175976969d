"""`ray-defense show`: a finished audit, run, detection or sweep in short."""

import argparse
from typing import TYPE_CHECKING

from ray_defense.cli.parser import CommandParser

if TYPE_CHECKING:
    from ray_defense.exports.audit_folder import AuditFolder
    from ray_defense.store.stored_runs import StoredRun


class ShowCommand:
    """Prints the verdict of an audit, or what the last run of a store found."""

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("place", help="the folder of an audit, or the directory of a store")

    def execute(self, options: argparse.Namespace) -> int:
        from ray_defense.exports.audit_folder import AuditFolder, is_audit_folder
        from ray_defense.exports.finished_run import has_result, last_detection_or_sweep

        if is_audit_folder(options.place):
            _print_audit(AuditFolder.open(options.place))
            return 0
        if not has_result(options.place):
            run = last_detection_or_sweep(options.place)
            if run is not None:
                _print_run(run)
                return 0
        from ray_defense.cli.tables.run_table import print_result
        from ray_defense.exports.finished_run import read_result

        print_result(read_result(options.place), options.place)
        return 0


def _print_audit(audit: "AuditFolder") -> None:
    from ray_defense.cli.output import print_named, stdout_console

    console = stdout_console()
    for line in audit_lines(audit):
        console.print(line, soft_wrap=True, markup=False)
    for name in audit.manifest["files"]:
        print_named(console, name, audit.root / name)


def _print_run(run: "StoredRun") -> None:
    """Prints what a detection or a sweep found."""
    from ray_defense.cli.output import stdout_console
    from ray_defense.cli.tables.detection_table import print_detection
    from ray_defense.cli.tables.sweep_table import print_stored_sweep
    from ray_defense.exports.finished_detection import read_detection
    from ray_defense.sweeps.sweep import SWEEP

    if run.path.parent.name == SWEEP:
        print_stored_sweep(stdout_console(), run.path)
        return
    detection = read_detection(run.path)
    print_detection(detection.name, detection)


def audit_lines(audit: "AuditFolder") -> list[str]:
    """Returns the verdict of an audit and what was audited, when and how, a line each."""
    from ray_defense.cli.tables.verdict_line import verdict_line
    from ray_defense.core.escape_unprintable import escape_unprintable
    from ray_defense.data.split_table import PARTS

    names = audit.class_names
    suspected = [repr(names[label]) for label in audit.verdict["labels_suspected"]]
    lines = [verdict_line(audit.verdict["verdict"], audit.verdict, suspected)]
    counts = [f"{len(audit.members(part))} {part}" for part in PARTS]
    lines.append(
        f"{len(audit.columns['index'])} samples of {len(names)} classes: {', '.join(counts)}; "
        f"{audit.manifest['num_rejected']} files rejected"
    )
    for key in ("data", "date", "command"):
        lines.append(f"{key}: {audit.manifest.get(key, '-')}")
    return [escape_unprintable(line) for line in lines]


SHOW = ShowCommand()
