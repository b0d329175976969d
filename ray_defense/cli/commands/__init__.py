"""The commands by name: what each does, and the module that holds it."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import argparse

    from ray_defense.cli.parser import CommandParser


class Command(Protocol):
    """A command: its options, and what it does with them."""

    def add_options(self, parser: "CommandParser") -> None:
        """Adds the options to the parser of the command."""

    def execute(self, options: "argparse.Namespace") -> int:
        """Runs the command and returns its exit code; raises InputError or RunError."""


@dataclass(frozen=True)
class CommandEntry:
    """A command as the list of commands shows it."""

    purpose: str
    location: str  # module and attribute in this package

    def load(self) -> Command:
        """Returns the command."""
        module, _, attribute = self.location.partition(".")
        command: Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        return command


COMMANDS: dict[str, CommandEntry] = {
    "run": CommandEntry("run a recipe; what the store already holds is not done again", "run.RUN"),
    "demo": CommandEntry(
        "run digits_badnets: the whole path on a small dataset, without a download", "run.DEMO"
    ),
    "detect": CommandEntry(
        "say whether there is evidence of a backdoor, which samples are flagged, and how sure",
        "detect.DETECT",
    ),
    "audit": CommandEntry(
        "say whether there is a backdoor in a folder or file of images, and write tables about it",
        "audit.AUDIT",
    ),
    "defend": CommandEntry(
        "make the split and the defended models of a recipe, without a look at truth or test set",
        "defend.DEFEND",
    ),
    "reproduce": CommandEntry(
        "run a table or figure of the paper and set our numbers beside its own",
        "reproduce.REPRODUCE",
    ),
    "leaderboard": CommandEntry(
        "write one page that sorts and filters the runs that reproduce left in a folder",
        "leaderboard.LEADERBOARD",
    ),
    "report": CommandEntry(
        "write the report of a run whose artifacts are all in the store; compute nothing else",
        "report.REPORT",
    ),
    "export": CommandEntry(
        "write the kept, flagged, uncertain or trusted samples of an audit into a new folder",
        "export.EXPORT",
    ),
    "benchmark": CommandEntry(
        "measure images/s of ingest, probe and scoring of a recipe on this machine or cluster",
        "benchmark.BENCHMARK",
    ),
    "sweep": CommandEntry(
        "run a recipe once for every combination of some values; what trials share is made once",
        "sweep.SWEEP",
    ),
    "attacks preview": CommandEntry(
        "draw what an attack does to eight training images that it may poison, as a PNG",
        "attacks_preview.PREVIEW",
    ),
    "attacks check": CommandEntry(
        "train a model on what each attack poisons and print its ACC and ASR", "attacks_check.CHECK"
    ),
    "verify": CommandEntry(
        "read every file of a store or an audit and name those that are not what was written",
        "verify.VERIFY",
    ),
    "runs": CommandEntry("name the runs that a store holds, and what is unfinished", "runs.RUNS"),
    "show": CommandEntry(
        "say in short what an audit, a run, a detection or a sweep found", "show.SHOW"
    ),
    "compare": CommandEntry(
        "say what two audits or runs differ in, and which samples both flag", "compare.COMPARE"
    ),
    "list": CommandEntry(
        "name the recipes, and the units that --set can choose", "list_units.LIST"
    ),
    "doctor": CommandEntry(
        "say what this machine has, what is missing, and the line that installs it",
        "doctor.DOCTOR",
    ),
}
