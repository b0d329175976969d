"""Mutants of honest files end in our own errors, within limits; of the store none is used.

The short run is part of the default tests. `./run.sh test fuzz` reads 100,000 mutants of each kind
of input, and 10,000 of what takes long and of each file of a store.
"""

import os
import random
import time

import pytest

from benchmarks.fuzz.campaign import run_campaign
from benchmarks.fuzz.forked import Outcome, ProcessUse, outcomes_of
from benchmarks.fuzz.mutate import mutate
from benchmarks.fuzz.seed import Target
from benchmarks.fuzz.targets import AUDIT_TARGETS, FORM_TARGETS, INPUT_TARGETS, STORE_TARGETS

MAX_GROWTH_BYTES = 2**30  # of resident memory, by one mutant
TARGETS = (*INPUT_TARGETS, *FORM_TARGETS, *AUDIT_TARGETS, *STORE_TARGETS)
SHORT = {
    "images": 1500,
    "parquet": 600,
    "saved dataset": 600,
    "record": 300,
    "beton": 200,
    "foreign beton": 200,
    "archive": 500,
    "image archives": 500,
    "arrays": 500,
    "table": 200,
    "array folder": 300,
}
SHORT_STORE = 100


def check_campaign(target: Target, num_mutants: int) -> None:
    result = run_campaign(target, num_mutants)
    assert result.failures(target.of_store) == 0, result.plain()
    assert result.counts["refused"] > num_mutants / 20
    assert sum(result.counts.values()) == num_mutants
    assert result.peak_bytes - result.base_bytes < MAX_GROWTH_BYTES


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_mutant_does_harm(target: Target):
    check_campaign(target, SHORT.get(target.name, SHORT_STORE))


@pytest.mark.fuzz
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_mutant_of_many_does_harm(target: Target):
    check_campaign(target, target.num_mutants)


def test_the_harness_sees_errors_hangs_crashes_and_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.fuzz.forked.LIMIT_CPU_S", 2)

    def read(number: int) -> Outcome:
        if number == 1:
            os.abort()
        if number == 3:
            while True:
                pass
        if number == 5:
            try:
                return Outcome("same", str(len(bytearray(2**33))))
            except MemoryError:
                return Outcome("foreign", "MemoryError")
        if number == 6:
            return Outcome("same", str(len(bytearray(2**28))))
        return Outcome("refused")

    use = ProcessUse()
    list(outcomes_of([0], read, use))
    base_bytes = use.peak_bytes
    kinds = [outcome.kind for _, outcome in outcomes_of(range(8), read, use)]
    assert kinds == ["refused", "crash", "refused", "hang", "refused", "foreign", "same", "refused"]
    assert use.peak_bytes - base_bytes > 2**27


def test_the_harness_ends_a_reader_that_waits_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.fuzz.forked.LIMIT_WAIT_S", 0.2)
    (found,) = outcomes_of([0], lambda number: Outcome(str(time.sleep(3600))), ProcessUse())
    assert found == (0, Outcome("hang", "more than 0.2 s"))


def test_a_reader_that_waits_for_the_processor_does_not_hang(monkeypatch: pytest.MonkeyPatch):
    """On a busy machine a reader takes long and computes little."""
    monkeypatch.setattr("benchmarks.fuzz.forked.LIMIT_CPU_S", 0.5)

    def read(number: int) -> Outcome:
        time.sleep(1)
        return Outcome("refused")

    assert list(outcomes_of([0], read, ProcessUse())) == [(0, Outcome("refused"))]


def test_mutants_depend_on_their_number_alone_and_mostly_differ_from_the_file():
    data = bytes(range(256)) * 4
    mutants = [mutate(data, [data, b"other"], random.Random(n)) for n in range(200)]
    again = [mutate(data, [data, b"other"], random.Random(n)) for n in range(200)]
    assert mutants == again
    assert len(set(mutants) - {data}) > 190
    assert mutate(b"", [b""], random.Random(0)) is not None
