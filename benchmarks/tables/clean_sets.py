"""The table of what audits say of images without a backdoor."""

from collections import Counter
from typing import Any

from benchmarks.clean_sets.sets import clean_sets
from benchmarks.documents import Table, load_results

_VERDICTS = ("evidence", "no evidence", "not assessable")
_UNITS = {"cifar10": "{:,} images", "tinyimagenet": "{:,} classes", "digits": "{:,} %"}


def clean_sets_table() -> Table:
    """Returns a row for each kind and size: how many sets got which verdict, and the guard."""
    results = load_results("clean_sets/*.json")
    measured: dict[tuple[str, int], list[dict[str, Any]]] = {}
    num_planned: Counter[tuple[str, int]] = Counter()
    for clean_set in clean_sets():
        group = (clean_set.kind, clean_set.size)
        num_planned[group] += 1
        if clean_set.name in results:
            measured.setdefault(group, []).append(results[clean_set.name])
    head = ["images", "sets measured", *_VERDICTS, "falsely flagged", "largest share right"]
    rows = []
    for (kind, size), cells in measured.items():
        verdicts = Counter(cell["decision"]["verdict"] for cell in cells)
        num_false = sum(cell["decision"]["num_false"] for cell in cells)
        num_samples = sum(cell["num_samples"] for cell in cells)
        row = [f"{kind}, {_UNITS[kind].format(size)}"]
        row.append(f"{len(cells)} of {num_planned[kind, size]}")
        for verdict in _VERDICTS:
            row.append(str(verdicts[verdict]))
        row.append(f"{num_false:,} of {num_samples:,}")
        row.append(_largest_middle(cells))
        rows.append(row)
    return Table(head, rows)


def _largest_middle(cells: list[dict[str, Any]]) -> str:
    """Returns the largest accuracy on the images that tell least, which the guard looks at."""
    accuracies = []
    for cell in cells:
        for report in cell["decision"]["reports"]:
            if report["middle_accuracy"] is not None:
                accuracies.append(report["middle_accuracy"])
    return f"{max(accuracies):.3f}" if accuracies else "–"
