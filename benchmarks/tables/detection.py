"""Tables of what detectors and audits find."""

from collections.abc import Sequence
from typing import Any

from benchmarks.documents import Table, load_results

FIRST_ROUND = ("mirror", "fct_draws", "grow")
PATTERNS = ("fixed_pattern", "fixed_pattern_rarity")
HANDED = ("handed_pattern", "handed_pattern_rarity")
BOTH_PATTERNS = ("fixed_pattern_rarity", "handed_pattern")


def detection_table(round_name: str, shown: Sequence[str]) -> Table:
    """Returns a row for each cell of a round: AUROC and TPR of columns, and the decision's finds.

    Args:
        round_name: The folder in results/detection.
        shown: The columns of the evidence.
    """
    head = ["attack", "rate", "seed"]
    for column in shown:
        head.append(f"`{column}`: AUROC (TPR % at 0.1 % FPR)")
    with_grown = "grow" in shown
    if with_grown:
        head.append("coherence")
    head += ["verdict", "found", "false"]
    rows = []
    for cell in load_results(f"detection/{round_name}/*.json").values():
        cells = [f"`{cell['attack']}`", f"{cell['rate']:.1%}", str(cell["seed"])]
        for column in shown:
            cells.append(_column_cell(cell["columns"].get(column)))
        decision = cell["decision"]
        if with_grown:
            cells.append(_coherence_cell(decision["reports"]))
        cells.append(decision["verdict"])
        cells.append(_found_cell(decision))
        num_clean = cell["num_samples"] - (decision["num_poisoned"] or 0)
        num_clean -= decision["num_cover"] or 0
        cells.append(f"{decision['num_false']:,} of {num_clean:,}")
        rows.append(cells)
    return Table(head, rows)


def _found_cell(decision: dict[str, Any]) -> str:
    """Returns how many poisoned samples are found, and how many that cover the backdoor."""
    if not decision["num_poisoned"]:
        return "–"
    found = f"{decision['num_found']:,} of {decision['num_poisoned']:,}"
    if decision["num_cover"]:
        found += f", cover {decision['num_cover_found']:,} of {decision['num_cover']:,}"
    return found


def _column_cell(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return "–"
    return f"{measured['auroc']:.4f} ({100 * measured['tpr']:.1f})"


def _coherence_cell(reports: list[dict[str, Any]] | None) -> str:
    for report in reports or []:
        if report["coherence"] is not None:
            return f"{report['coherence']:.3f}"
    return "–"


def audit_table() -> Table:
    """Returns a row for each audited folder."""
    head = [
        "images",
        "pixels",
        "stamped",
        "way",
        "verdict",
        "found",
        "false",
        "seconds",
        "peak memory, MiB",
    ]
    rows = []
    folders = load_results("audit/*.json").values()
    for folder in sorted(folders, key=_order):
        rows.append(
            [
                f"{folder['num_images']:,} of {folder['num_classes']} classes",
                str(folder["size"]),
                _stamped_cell(folder),
                "quick" if folder["quick"] else "default",
                folder["verdict"],
                str(folder["num_found"]) if folder["num_stamped"] else "–",
                str(folder["num_false"]),
                f"{folder['wall_s']:.0f}",
                f"{folder['peak_mib']:,.0f}",
            ]
        )
    return Table(head, rows)


def _stamped_cell(folder: dict[str, Any]) -> str:
    if not folder["num_stamped"]:
        return "none"
    patch = f"{folder['patch']}x{folder['patch']} {folder['trigger']}"
    return f"{folder['num_stamped']:,}, {patch}" + ", a record" * folder["record"]


def _order(folder: dict[str, Any]) -> tuple[Any, ...]:
    quick = not folder["quick"]
    return (folder["size"], quick, folder["num_images"], -folder["num_stamped"], folder["record"])
