"""Writes the tables of docs/scaling.md from results/ and from the models themselves.

    python -m benchmarks.scaling

A cluster of yours has other constants: change them in benchmarks/scaling/inputs.py and run this
again.
"""

import argparse
from collections.abc import Sequence

from benchmarks.documents import document_parser, render_tables, update_files
from benchmarks.scaling.constant_tables import SCALING_TABLES
from benchmarks.support import ROOT

DOCUMENT = ROOT / "docs" / "scaling.md"


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    return document_parser("benchmarks.scaling", __doc__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the document, or checks it."""
    options = command_parser().parse_args(arguments)
    text = render_tables(DOCUMENT.read_text(), SCALING_TABLES)
    update_files({DOCUMENT: text.encode()}, check_only=options.check)


if __name__ == "__main__":
    main()
