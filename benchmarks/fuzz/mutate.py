"""Mutants of a file: flipped bits, odd numbers, cuts, repeats, splices with another file."""

import random
from collections.abc import Callable, Sequence

# Numbers at which sizes, offsets and counts go wrong.
_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 2**15 - 1, 2**15, 2**16 - 1, 2**16, 2**24)
_LARGE_NUMBERS = (2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_LENGTHS = (1, 2, 4, 8, 16, 64, 256, 1024, 4096)
_EDGE_BYTES = 512  # headers and footers, where most of what is parsed stands
_NUM_CHANGES = (1, 1, 1, 2, 3, 5, 10)

Change = Callable[[bytearray, int, Sequence[bytes], random.Random], None]


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Returns a mutant of a file.

    Args:
        data: The file.
        others: Files to splice with.
        rng: Decides everything.
    """
    changed = bytearray(data)
    for _ in range(rng.choice(_NUM_CHANGES)):
        change = rng.choice(_CHANGES)
        change(changed, _draw_place(changed, rng), others, rng)
    return bytes(changed)


def _draw_place(data: bytearray, rng: random.Random) -> int:
    """Returns a position; each edge of the file is drawn in a quarter of the cases."""
    if not data:
        return 0
    edge = min(len(data), _EDGE_BYTES)
    kind = rng.randrange(4)
    if kind == 0:
        return rng.randrange(edge)
    if kind == 1:
        return len(data) - 1 - rng.randrange(edge)
    return rng.randrange(len(data))


def _flip_bit(data: bytearray, place: int, others: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[place] ^= 1 << rng.randrange(8)


def _set_byte(data: bytearray, place: int, others: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[place] = rng.choice((0, 1, 127, 128, 254, 255, rng.randrange(256)))


def _set_number(data: bytearray, place: int, others: Sequence[bytes], rng: random.Random) -> None:
    size = rng.choice((2, 4, 8))
    number = rng.choice(_NUMBERS + _LARGE_NUMBERS) % 2 ** (8 * size)
    data[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))


def _cut(data: bytearray, place: int, others: Sequence[bytes], rng: random.Random) -> None:
    length = rng.choice((*_LENGTHS, len(data)))
    del data[place : place + length]


def _repeat(data: bytearray, place: int, others: Sequence[bytes], rng: random.Random) -> None:
    data[place:place] = data[place : place + rng.choice(_LENGTHS)]


def _clear(data: bytearray, place: int, others: Sequence[bytes], rng: random.Random) -> None:
    end = min(place + rng.choice(_LENGTHS), len(data))
    data[place:end] = bytes(end - place)


def _insert(data: bytearray, place: int, others: Sequence[bytes], rng: random.Random) -> None:
    data[place:place] = rng.randbytes(rng.choice((1, 2, 8, 32)))


def _splice(data: bytearray, place: int, others: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    if not other:
        return
    start = rng.randrange(len(other))
    length = rng.choice((*_LENGTHS, len(other)))
    data[place : place + length] = other[start : start + length]


_CHANGES: tuple[Change, ...] = (
    _flip_bit,
    _flip_bit,
    _set_byte,
    _set_number,
    _cut,
    _repeat,
    _clear,
    _insert,
    _splice,
)
