"""The paper's numbers: the averages that it prints are those of the rows as we typed them."""

import pytest

from ray_defense.attacks import ATTACKS
from ray_defense.studies import paper_tables as tables

AVERAGES = [
    (tables.TABLE_1, "84.65 45.75 93.43 93.73 93.53 96.40 91.66 1.21"),
    (tables.TABLE_1_CIFAR100, "56.47 55.77 71.12 100.00 71.24 99.99 67.79 0.05"),
    (
        tables.TABLE_2,
        "92.46 97.29 90.05 77.41 84.91 14.30 83.69 16.93 92.92 30.05 80.21 25.75 92.42 0.31",
    ),
    (
        tables.TABLE_2_CIFAR100,
        "74.43 99.77 72.83 91.46 66.59 0.01 71.01 74.83 73.80 5.27 57.69 0.01 73.36 0.07",
    ),
    (tables.TABLE_5, "84.95 98.19 82.38 83.18 62.58 37.36 80.16 23.94 83.03 0.02"),
]


@pytest.mark.parametrize(("table", "averages"), AVERAGES)
def test_the_rows_have_the_averages_that_the_paper_prints(table, averages):
    printed = [float(word) for word in averages.split()]
    ours = []
    for model in table.models:
        for position in (0, 1):
            column = [cells[model][position] for cells in table.cells.values()]
            ours.append(sum(column) / len(column))
    assert ours == pytest.approx(printed, abs=0.05)


def test_d_st_of_table_3_is_d_st_of_table_1():
    for attack, cells in tables.TABLE_3.cells.items():
        assert cells["trusted"] == tables.TABLE_1.cells[attack]["d_st"]


def test_every_attack_is_one_of_ours():
    for table, _ in AVERAGES:
        assert set(table.attacks) <= set(ATTACKS)
