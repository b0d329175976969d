"""BCH(15, 7), a binary block code that corrects two errors (Bose and Ray-Chaudhuri, 1960).

It is shortened to messages of any length.

Shapes: N words, M message bits each, C code bits each.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ray_defense.core.errors import InputError

MESSAGE_BITS = 7  # of a whole block; a shorter last block lacks message bits only
CODE_BITS = 15  # of a whole block
CHECK_BITS = CODE_BITS - MESSAGE_BITS
GENERATOR = 0b111010001  # x^8 + x^7 + x^6 + x^4 + 1


@dataclass(frozen=True)
class Decoded:
    """The messages that were received, and how many errors were corrected in them."""

    message_NM: np.ndarray  # uint8
    num_corrected_N: np.ndarray  # int64, over all blocks; -1: some block had more than two errors


def code_length(num_bits: int) -> int:
    """Returns the code bits of a message: eight more for every block of seven bits begun."""
    num_blocks = -(-num_bits // MESSAGE_BITS)
    return num_bits + CHECK_BITS * num_blocks


def message_length(num_bits: int) -> int:
    """Returns the message bits of a code word.

    Args:
        num_bits: The code bits of the word.

    Raises:
        InputError: If no code word has that length; the message names the nearest one.
    """
    num_blocks, rest = divmod(num_bits, CODE_BITS)
    if num_bits < 1 or 0 < rest <= CHECK_BITS:
        near = max(CODE_BITS * num_blocks, CHECK_BITS + 1)
        raise InputError(
            f"no code word has {num_bits} bits: take {near}, 15 for every 7 bits of the message"
        )
    return MESSAGE_BITS * num_blocks + max(rest - CHECK_BITS, 0)


def encode(message_NM: np.ndarray) -> np.ndarray:
    """Returns the code words of messages: for each block its message bits, then eight check bits.

    Args:
        message_NM: The messages, bits 0 and 1, M >= 1.

    Returns:
        uint8 [N, C].

    Raises:
        InputError: If the messages are not bits in two dimensions.
    """
    message_NM = _checked_bits("message", message_NM)
    parts = []
    for low in range(0, message_NM.shape[1], MESSAGE_BITS):
        block = message_NM[:, low : low + MESSAGE_BITS]
        # A shortened block starts with zeros that are not sent.
        check_rows = _CHECK_ROWS[-block.shape[1] :]
        parts.append(block)
        parts.append(block @ check_rows % 2)
    return np.concatenate(parts, axis=1)


def decode(code_NC: np.ndarray) -> Decoded:
    """Returns the messages of received words, with up to two errors in each block corrected.

    A block with more errors is left as received where the errors can be noticed.

    Args:
        code_NC: The received words, bits 0 and 1.

    Returns:
        The messages, and the number of bits corrected in each word.

    Raises:
        InputError: If the words are not bits in two dimensions, or no code word has C bits.
    """
    code_NC = _checked_bits("code", code_NC)
    message_length(code_NC.shape[1])  # raises InputError for a wrong length
    messages = []
    num_corrected_N = np.zeros(len(code_NC), np.int64)
    for low in range(0, code_NC.shape[1], CODE_BITS):
        block = code_NC[:, low : low + CODE_BITS]
        num_unsent = CODE_BITS - block.shape[1]
        syndrome_N = block.astype(np.int64) @ _PARITY_ROWS[num_unsent:] % 2 @ _WEIGHTS
        errors = _ERRORS[syndrome_N]
        num_errors_N = _NUM_ERRORS[syndrome_N]
        lost_N = (num_errors_N < 0) | errors[:, :num_unsent].any(axis=1)
        corrected = np.where(lost_N[:, None], block, block ^ errors[:, num_unsent:])
        messages.append(corrected[:, : MESSAGE_BITS - num_unsent])
        failed_N = lost_N | (num_corrected_N < 0)
        num_corrected_N = np.where(failed_N, -1, num_corrected_N + num_errors_N)
    return Decoded(np.concatenate(messages, axis=1), num_corrected_N)


def _checked_bits(what: str, bits: np.ndarray) -> np.ndarray:
    array = np.asarray(bits)
    if array.ndim != 2 or not array.shape[1] or not np.isin(array, (0, 1)).all():
        raise InputError(
            f"the {what} must be bits 0 and 1 [N, length], length >= 1, "
            f"not {array.dtype} {list(array.shape)}"
        )
    return array.astype(np.uint8)


def _remainder(word: int) -> int:
    """Returns the remainder of a polynomial over {0, 1}, bit i being x^i, modulo the generator."""
    for shift in range(MESSAGE_BITS - 1, -1, -1):
        if word >> (shift + CHECK_BITS) & 1:
            word ^= GENERATOR << shift
    return word


def _parity_rows() -> np.ndarray:
    """Returns int64 [15, 8]: the syndrome of each bit of a block."""
    rows = []
    for position in range(CODE_BITS - 1, -1, -1):
        remainder = _remainder(1 << position)
        rows.append([remainder >> bit & 1 for bit in range(CHECK_BITS - 1, -1, -1)])
    return np.array(rows)


def _error_table() -> tuple[np.ndarray, np.ndarray]:
    """Returns for each syndrome the errors that cause it, and their number.

    The first is uint8 [256, 15], the bits that at most two errors have turned; the second is int64
    [256], -1 where there are more than two errors.
    """
    errors = np.zeros((1 << CHECK_BITS, CODE_BITS), np.uint8)
    num_errors = np.full(1 << CHECK_BITS, -1)
    num_errors[0] = 0
    for count in (1, 2):
        for positions in combinations(range(CODE_BITS), count):
            bits = list(positions)
            syndrome = int(_PARITY_ROWS[bits].sum(axis=0) % 2 @ _WEIGHTS)
            errors[syndrome, bits] = 1
            num_errors[syndrome] = count
    return errors, num_errors


_PARITY_ROWS = _parity_rows()
_CHECK_ROWS = _PARITY_ROWS[:MESSAGE_BITS].astype(np.uint8)  # the check bits of each message bit
_WEIGHTS = 1 << np.arange(CHECK_BITS - 1, -1, -1)  # the syndrome as a number
_ERRORS, _NUM_ERRORS = _error_table()
