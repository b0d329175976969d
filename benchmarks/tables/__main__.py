"""Writes the tables of documents, and the figures of attacks and detectors.

    python -m benchmarks.tables

Everything comes from results/. Text between the tables is edited by hand.
"""

import argparse
from collections.abc import Sequence
from functools import partial

from benchmarks.documents import Tables, document_parser, render_tables, update_files
from benchmarks.support import ROOT
from benchmarks.tables import (
    attacks,
    bounds,
    clean_sets,
    costs,
    defenses,
    detection,
    first_answers,
    gpu,
    house,
    reproduced,
    runs,
)
from benchmarks.tables.attack_figure import attack_figure
from benchmarks.tables.detection_figure import detection_figure

DOCUMENT = ROOT / "docs" / "results.md"  # has every table
README = ROOT / "README.md"  # has some
FIRST_ANSWERS = ROOT / "docs" / "first-answers.md"  # has one of its own
FIGURE = ROOT / "docs" / "attacks_auroc.svg"
DETECTION_FIGURE = ROOT / "docs" / "detection_curves.svg"
# Which columns of the evidence a table of results/detection shows, by the name of both.
ROUNDS = {
    "confirmation": detection.FIRST_ROUND,
    "round2_confirmation": detection.PATTERNS,
    "round3_development": detection.PATTERNS,
    "round3_confirmation": detection.PATTERNS,
    "round4_development": detection.HANDED,
    "round4_confirmation": detection.BOTH_PATTERNS,
    "round5_development": detection.HANDED,
    "round5_confirmation": detection.BOTH_PATTERNS,
    "round6_development": detection.HANDED,
    "round6_confirmation": detection.BOTH_PATTERNS,
    "round6_asymmetric": detection.BOTH_PATTERNS,
    "round7_development": detection.BOTH_PATTERNS,
    "round7_confirmation": detection.BOTH_PATTERNS,
    "round8_development": detection.BOTH_PATTERNS,
    "round8_confirmation": detection.BOTH_PATTERNS,
    "resnet18": detection.FIRST_ROUND,
}
REPRODUCED = ("fig3",)  # the tables and figures of the paper that were run
RESULT_TABLES: Tables = {
    "demo": runs.demo_table,
    "digits": lambda: runs.runs_table("digits_badnets"),
    "cifar10_small": lambda: runs.runs_table("cifar10_badnets_small"),
    "scoring": costs.scoring_table,
    "reading": costs.reading_table,
    "ray_cost": costs.ray_cost_table,
    "identical_scores": costs.identical_scores_table,
    "faults": costs.faults_table,
    "sweep_cost": runs.sweep_cost_table,
    "pairs": lambda: runs.pairs_table("digits_badnets"),
    "pairs_cifar10": lambda: runs.pairs_table("cifar10_badnets_small"),
    "attacks": attacks.strength_table,
    "tries": attacks.tries_table,
    "auroc": attacks.auroc_table,
    "label_free": attacks.label_free_table,
    "detection": partial(detection.detection_table, "development", detection.FIRST_ROUND),
    **{name: partial(detection.detection_table, name, shown) for name, shown in ROUNDS.items()},
    "clean_sets": clean_sets.clean_sets_table,
    "defenses": defenses.defenses_table,
    **{f"reproduced_{name}": partial(reproduced.reproduced_table, name) for name in REPRODUCED},
    "audit": detection.audit_table,
    "bounds": bounds.bounds_table,
    "parity": gpu.parity_table,
    "removal": gpu.removal_table,
    "command_seconds": house.command_seconds_table,
    "code_counts": house.code_counts_table,
}
FIRST_ANSWERS_TABLES: Tables = {"first_answers": first_answers.first_answers_table}


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    return document_parser("benchmarks.tables", __doc__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes documents and figures, or checks them."""
    options = command_parser().parse_args(arguments)
    contents = {FIGURE: attack_figure(), DETECTION_FIGURE: detection_figure()}
    documents = ((DOCUMENT, RESULT_TABLES), (README, RESULT_TABLES))
    for document, tables in (*documents, (FIRST_ANSWERS, FIRST_ANSWERS_TABLES)):
        contents[document] = render_tables(document.read_text(), tables).encode()
    update_files(contents, check_only=options.check)


if __name__ == "__main__":
    main()
