"""BCH(15, 7), a binary block code that corrects two errors (Bose and Ray-Chaudhuri, 1960), shortened to messages of any length.

Shapes: N words, M message bits each, C code bits each.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ray_defense.core.errors import Refused

MESSAGE, CODE = 7, 15  # bits a whole block; a shorter last block lacks message bits only
CHECKS = CODE - MESSAGE
GENERATOR = 0b111010001  # x^8 + x^7 + x^6 + x^4 + 1


@dataclass(frozen=True)
class Decoded:
    """What was received, and how far it was from what may have been sent."""

    message_NM: np.ndarray  # uint8
    num_corrected_N: np.ndarray  # int64: bits corrected in all blocks of a word; -1: some block held more errors than two


def code_length(num_bits: int) -> int:
    """Returns the code bits of a message of `num_bits`: eight more for every block of seven begun."""
    return num_bits + CHECKS * -(-num_bits // MESSAGE)


def message_length(num_bits: int) -> int:
    """Returns the message bits of a code word of `num_bits`; raises Refused where no code word has that length."""
    blocks, rest = divmod(num_bits, CODE)
    if num_bits < 1 or 0 < rest <= CHECKS:
        near = max(CODE * (blocks + (rest > CHECKS)), CHECKS + 1)
        raise Refused(f"no code word has {num_bits} bits: take {near}, 15 for every 7 bits of the message")
    return MESSAGE * blocks + max(rest - CHECKS, 0)


def encode(message_NM: np.ndarray) -> np.ndarray:
    """Returns the code words uint8 [N, C]: per block its message bits, then eight check bits.

    Raises Refused unless the message is bits 0 and 1 in two dimensions, M >= 1.
    """
    message_NM = _bits("message", message_NM)
    blocks = []
    for low in range(0, message_NM.shape[1], MESSAGE):
        block = message_NM[:, low : low + MESSAGE]
        blocks += [block, block @ _CHECK_ROWS[-block.shape[1] :] % 2]  # a shortened block starts with zeros not sent
    return np.concatenate(blocks, axis=1)


def decode(code_NC: np.ndarray) -> Decoded:
    """Returns the messages of received words, up to two errors in each block corrected.

    A block with more is left as received, where that shows. Raises Refused for what is not bits 0 and 1 in two dimensions,
    or for a C that is no length of a code word.
    """
    code_NC = _bits("code", code_NC)
    message_length(code_NC.shape[1])  # refuses
    messages, corrected_N = [], np.zeros(len(code_NC), np.int64)
    for low in range(0, code_NC.shape[1], CODE):
        block = code_NC[:, low : low + CODE]
        unsent = CODE - block.shape[1]
        syndrome_N = block.astype(np.int64) @ _PARITY_ROWS[unsent:] % 2 @ _WEIGHTS
        error = _ERRORS[syndrome_N]
        lost_N = (_NUM_ERRORS[syndrome_N] < 0) | error[:, :unsent].any(axis=1)
        fixed = np.where(lost_N[:, None], block, block ^ error[:, unsent:])
        messages.append(fixed[:, : MESSAGE - unsent])
        corrected_N = np.where(lost_N | (corrected_N < 0), -1, corrected_N + _NUM_ERRORS[syndrome_N])
    return Decoded(np.concatenate(messages, axis=1), corrected_N)


def _bits(what: str, bits: np.ndarray) -> np.ndarray:
    array = np.asarray(bits)
    if array.ndim != 2 or not array.shape[1] or not np.isin(array, (0, 1)).all():
        raise Refused(f"the {what} must be bits 0 and 1 [N, length], length >= 1, not {array.dtype} {list(array.shape)}")
    return array.astype(np.uint8)


def _remainder(word: int) -> int:
    for shift in range(MESSAGE - 1, -1, -1):
        if word >> (shift + CHECKS) & 1:
            word ^= GENERATOR << shift
    return word


def _row(value: int) -> list[int]:
    return [value >> bit & 1 for bit in range(CHECKS - 1, -1, -1)]


_PARITY_ROWS = np.array([_row(_remainder(1 << bit)) for bit in range(CODE - 1, -1, -1)])  # [15, 8]: the syndrome of each bit
_CHECK_ROWS = _PARITY_ROWS[:MESSAGE].astype(np.uint8)  # [7, 8]: the check bits of each message bit
_WEIGHTS = 1 << np.arange(CHECKS - 1, -1, -1)
_ERRORS = np.zeros((1 << CHECKS, CODE), np.uint8)  # by syndrome: the bits that at most two errors have turned
_NUM_ERRORS = np.full(1 << CHECKS, -1)  # by syndrome: their number; -1: there are more
_NUM_ERRORS[0] = 0
for _count in (1, 2):
    for _places in combinations(range(CODE), _count):
        _syndrome = int(_PARITY_ROWS[list(_places)].sum(axis=0) % 2 @ _WEIGHTS)
        _ERRORS[_syndrome, list(_places)] = 1
        _NUM_ERRORS[_syndrome] = _count
