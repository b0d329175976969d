"""Tables of the session on a GPU: what it computes beside the CPU, and a repair round by round."""

from collections.abc import Mapping
from typing import Any

from benchmarks.documents import Table, load_result, percent

_KINDS = (  # how the name of a check starts and ends, and what the check compares
    ("upload", "", "uploaded arrays: values that differ"),
    ("noise", "", "images with noise: largest difference"),
    ("view ", "", "transforms and augmentations: share of values that differ by more than 0.001"),
    ("gradient of ", "", "gradients of losses: relative difference"),
    ("step of ", ", float32", "a training step in float32: relative difference"),
    ("step of ", ", bfloat16", "the same as it is trained, in bfloat16"),
    ("fct, rank correlation", "", "scores of FCT: rank correlation"),
    ("fct, largest difference", "", "the same: largest difference over the median"),
    ("training repeated, ", " deterministic", "the same steps twice, cuDNN deterministic"),
    ("training repeated, ", " as it is", "the same, cuDNN as it is (any value holds)"),
)
_SHOWN_ROUNDS = (1, 2, 3, 5, 10, 15, 20)


def parity_table() -> Table:
    """Returns a row for each kind of check: how many hold, the bound and the worst value."""
    checks = load_result("gpu/parity.json")["checks"]
    rows = []
    for start, end, title in _KINDS:
        of_kind = []
        for name, check in checks.items():
            if name.startswith(start) and name.endswith(end):
                of_kind.append(check)
        rows.append([title, *_kind_cells(of_kind)])
    return Table(["what is compared with the CPU", "checks that hold", "bound", "worst"], rows)


def _kind_cells(checks: list[Mapping[str, Any]]) -> list[str]:
    num_holding = sum(check["holds"] for check in checks)
    first = checks[0]
    values = [check["value"] for check in checks]
    if first["larger_is_better"]:
        relation = "≥"
        worst = f"{min(values):.7f}"
    else:
        relation = "≤"
        worst = f"{max(values):.3g}"
    return [f"{num_holding} of {len(checks)}", f"{relation} {first['bound']:g}", worst]


def removal_table() -> Table:
    """Returns ACC and ASR of the backdoored ResNet-18 and of D-BR after some of its rounds."""
    models = load_result("gpu/removal.json")["models"]
    head = ["", "backdoored"]
    measured = [models["backdoored"]]
    for number in _SHOWN_ROUNDS:
        head.append(f"round {number}")
        measured.append(models["d_br"]["rounds"][number - 1])
    rows = []
    for name in ("acc", "asr"):
        cells = [f"{name.upper()} %"]
        for rates in measured:
            cells.append(percent(rates[name]))
        rows.append(cells)
    return Table(head, rows)
