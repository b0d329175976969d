"""BCH(15, 7): the code corrects what it promises to correct."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_defense.attacks.error_correction import (
    GENERATOR,
    code_length,
    decode,
    encode,
    message_length,
)
from ray_defense.core.errors import InputError

# Every message of one block, uint8 [128, 7].
ALL_MESSAGES = (np.arange(128)[:, None] >> np.arange(6, -1, -1) & 1).astype(np.uint8)


def test_every_one_or_two_errors_in_every_code_word_are_corrected():
    code = encode(ALL_MESSAGES)
    for count in (0, 1, 2):
        for positions in combinations(range(15), count):
            received = code.copy()
            received[:, positions] ^= 1
            decoded = decode(received)
            assert np.array_equal(decoded.message_NM, ALL_MESSAGES)
            assert (decoded.num_corrected_N == count).all()


def test_a_code_word_is_the_message_and_the_remainder_of_its_division_by_the_generator():
    for message, word in zip(ALL_MESSAGES, encode(ALL_MESSAGES), strict=True):
        value = int("".join(map(str, message)), 2) << 8
        rest = value
        while rest.bit_length() > 8:
            rest ^= GENERATOR << (rest.bit_length() - 9)
        assert int("".join(map(str, word)), 2) == value | rest


def test_three_errors_are_reported_or_taken_for_another_message_but_never_for_the_sent_one():
    sent = encode(ALL_MESSAGES)[:4]
    num_failures = 0
    for positions in combinations(range(15), 3):
        received = sent.copy()
        received[:, positions] ^= 1
        decoded = decode(received)
        same = (decoded.message_NM == ALL_MESSAGES[:4]).all(axis=1)
        assert not (same & (decoded.num_corrected_N >= 0)).any()
        num_failures += (decoded.num_corrected_N < 0).sum()
    assert num_failures > 0


@given(length=st.integers(1, 30), seed=st.integers(0, 2**16), num_errors=st.integers(0, 2))
def test_messages_of_any_length_survive_two_errors_in_every_block(length, seed, num_errors):
    rng = np.random.default_rng(seed)
    message = rng.integers(0, 2, (3, length))
    code = encode(message)
    num_bits = code.shape[1]
    assert num_bits == code_length(length)
    assert message_length(num_bits) == length
    blocks = range(0, num_bits, 15)
    for low in blocks:
        block = np.arange(low, min(low + 15, num_bits))
        code[:, rng.choice(block, num_errors, replace=False)] ^= 1
    decoded = decode(code)
    assert np.array_equal(decoded.message_NM, message)
    assert (decoded.num_corrected_N == num_errors * len(blocks)).all()


def test_errors_that_point_into_the_bits_not_sent_are_a_failure():
    sent = encode(np.zeros((1, 1), np.int64))  # a block of nine bits
    num_lost = 0
    for positions in combinations(range(9), 3):
        received = sent.copy()
        received[:, positions] ^= 1
        num_lost += decode(received).num_corrected_N[0] < 0
    assert num_lost > 60  # of 84


@pytest.mark.parametrize("length", [0, 1, 8, 16, 23])
def test_words_of_a_length_without_a_code_are_refused(length):
    with pytest.raises(InputError):
        decode(np.zeros((1, length), np.uint8))
    with pytest.raises(InputError, match="no code word has"):
        message_length(length)


@pytest.mark.parametrize(
    "bits", [np.full((1, 7), 2), np.zeros(7), np.full((1, 7), 0.5)], ids=["2", "flat", "half"]
)
def test_what_is_not_bits_is_refused(bits):
    with pytest.raises(InputError, match="must be bits"):
        encode(bits)
