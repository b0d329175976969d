"""Random draws as pure functions of (seed, names, index): SplitMix64 (Steele et al., OOPSLA 2014) in counter mode (D10)."""

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def stream(seed: int, *names: str | int) -> int:
    """Returns the 64-bit key of the stream that `seed` and `names` (stage, epoch, view, ...) name."""
    text = "\x1f".join(str(part) for part in (int(seed), *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def uniform(key: int, index: np.ndarray, count: int) -> np.ndarray:
    """Returns float64 [B, count] in [0, 1): row b depends on `key` and `index[b]` alone.

    `index` is int [B], non-negative. Not on batch, order, worker or retry (D10).
    """
    rows = _mix(np.asarray(index, dtype=np.uint64) * _GOLDEN + np.uint64(key))
    columns = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return (_mix(rows[:, None] + columns[None, :]) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(key: int, count: int) -> np.ndarray:
    """Returns a random permutation of range(count), int64, from NumPy's Philox generator."""
    return np.random.Generator(np.random.Philox(key=key)).permutation(count)
