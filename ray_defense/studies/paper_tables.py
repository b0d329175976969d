"""The numbers of the paper's tables, in percent, to set beside ours.

Source: Chen, Wu and Wang, "Effective Backdoor Defense by Exploiting Sensitivity of Poisoned
Samples", NeurIPS 2022, Tables 1, 2, 3 and 5. "Blend-Strip" is our `blend_signal`, "Blend-Kitty" our
`blend_picture` (with another picture), "CL" our `label_consistent`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Cell = tuple[float, float]  # ACC and ASR


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper, or its part on one dataset."""

    models: tuple[str, ...]  # the columns: the backdoored model, and defenses by their names
    cells: Mapping[str, Mapping[str, Cell]]  # by attack, then by model

    @property
    def attacks(self) -> tuple[str, ...]:
        return tuple(self.cells)


def _table(models: str, rows: str) -> PaperTable:
    """Returns the table whose rows are an attack and an ACC and ASR for each model."""
    names = tuple(models.split())
    cells = {}
    for line in rows.split("\n"):
        words = line.split()
        if not words:
            continue
        numbers = [float(word) for word in words[1:]]
        assert len(numbers) == 2 * len(names), line
        cells[words[0]] = dict(
            zip(names, zip(numbers[::2], numbers[1::2], strict=True), strict=True)
        )
    return PaperTable(names, cells)


TABLE_1 = _table(
    "simclr supcon dbd d_st",
    """
    badnets          83.54  2.60  91.32 99.91  92.75 100.00  92.77 0.03
    badnets_all2all  83.95  2.72  91.59 57.39  92.95  75.21  89.22 2.05
    trojan           83.77  5.24  93.63 99.98  92.81 100.00  93.72 0.00
    blend_signal     85.36 99.93  94.19 100.00 94.21  99.98  93.59 0.00
    blend_picture    85.03 99.99  94.31 100.00 93.32 100.00  91.82 0.00
    sig              85.14 99.02  94.37 99.93  94.37  99.71  90.07 0.00
    label_consistent 85.79 10.76  94.58 98.87  94.32  99.87  90.46 6.40
    """,
)

TABLE_1_CIFAR100 = _table(
    "simclr supcon dbd d_st",
    """
    badnets          54.48 10.41  67.62 100.00 69.08 100.00  68.43 0.12
    trojan           56.17 12.76  71.01 100.00 72.18  99.99  68.04 0.08
    blend_signal     58.01 99.91  72.47 99.99  71.29  99.99  67.63 0.00
    blend_picture    57.21 99.99  73.36 99.99  72.43 100.00  67.06 0.00
    """,
)

TABLE_2 = _table(
    "backdoored ft anp nad mcr abl d_br",
    """
badnets         91.64 100.00 88.99  66.79 90.03 10.54 84.46  2.13 94.21  8.29 89.36  0.19 92.83 0.40
badnets_all2all 92.79  88.01 90.31   4.96 86.04  1.47 84.97  1.71 92.17  2.96 79.91 78.16 92.61 0.56
trojan          91.91 100.00 89.86 100.00 90.89  0.81 83.29  5.04 93.90  2.58 90.18  0.23 92.21 0.76
blend_signal    92.09  99.97 89.91  93.50 88.33  0.04 83.09 13.30 91.77 17.96 58.46  0.22 92.40 0.06
blend_picture   92.69  99.99 90.47  99.31 84.07  0.01 84.54 28.96 94.42  7.49 79.20  2.27 92.11 0.14
sig             92.88  99.69 90.81  99.87 82.43 76.32 81.00 64.72 91.82 99.04 79.94 98.84 92.73 0.24
label_consistent 93.20 93.34 90.03  77.44 72.57 10.90 84.46  2.66 92.13 72.01 84.39  0.31 92.08 0.00
    """,
)

TABLE_2_CIFAR100 = _table(
    "backdoored ft anp nad mcr abl d_br",
    """
badnets         71.23  99.13 70.81  66.28 65.42  0.00 69.03 11.41 73.38  0.27 66.47  0.02 72.58 0.25
trojan          75.75 100.00 74.21  99.94 64.52  0.03 72.11 92.21 74.51  0.12 68.12  0.00 74.52 0.00
blend_signal    75.54  99.99 73.36  99.65 67.38  0.00 71.18 95.78 73.37  0.07 49.13  0.00 74.35 0.00
blend_picture   75.18  99.97 72.93  99.96 69.03  0.00 71.73 99.93 73.93 20.60 47.05  0.00 72.00 0.01
    """,
)

TABLE_5 = _table(
    "backdoored ft nad abl d_br",
    """
    badnets          84.72 95.80  82.20 56.66  63.07  0.41  82.72  0.00  83.66 0.00
    blend_signal     84.36 97.64  82.35 78.82  59.66 16.19  79.71 95.74  80.40 0.00
    blend_picture    85.46 99.68  82.63 99.60  63.78 98.21  77.10  0.00  84.29 0.00
    ssba             85.24 99.64  82.35 97.63  63.82 34.62  81.10  0.00  83.77 0.09
    """,
)

# The columns are the labels that the contrastive stage uses: `d_st.labels_used`.
TABLE_3 = _table(
    "none all trusted",
    """
    badnets          85.63 1.52  92.98  0.00  92.77 0.03
    badnets_all2all  83.02 1.65  93.73  0.73  89.22 2.05
    trojan           85.03 1.32  93.80  0.00  93.72 0.00
    blend_signal     85.12 0.00  94.09  0.00  93.59 0.00
    blend_picture    83.49 0.00  94.18  0.00  91.82 0.00
    sig              83.10 0.00  94.51 99.77  90.07 0.00
    label_consistent 83.77 4.88  94.67 98.34  90.46 6.40
    """,
)
