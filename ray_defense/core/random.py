"""Random draws as functions of (seed, names, index): SplitMix64 in counter mode (D10).

Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
"""

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def stream(seed: int, *names: str | int) -> int:
    """Returns the key of a random stream.

    Args:
        seed: The seed of the run, or the key of another stream.
        *names: What the stream is for: stage, purpose, epoch, view.

    Returns:
        A number in [0, 2^64), different streams having different keys.
    """
    text = "\x1f".join(str(part) for part in (int(seed), *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


def uniform(key: int, index: np.ndarray, count: int) -> np.ndarray:
    """Returns uniform draws in [0, 1) for each sample.

    A row depends on the key and its own index alone: not on the batch, the order, the worker or
    a retry (D10).

    Args:
        key: The key of the stream (see `stream`).
        index: The indices of the samples, non-negative int [B].
        count: The number of draws a sample.

    Returns:
        float64 [B, count].
    """
    rows = _mix(np.asarray(index, dtype=np.uint64) * _GOLDEN + np.uint64(key))
    columns = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    bits = _mix(rows[:, None] + columns[None, :]) >> np.uint64(11)
    draws: np.ndarray = bits.astype(np.float64) * 2.0**-53
    return draws


def permutation(key: int, count: int) -> np.ndarray:
    """Returns a random order of range(count), int64 [count], from NumPy's Philox generator."""
    return np.random.Generator(np.random.Philox(key=key)).permutation(count)
