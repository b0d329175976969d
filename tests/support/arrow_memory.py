"""What Arrow takes of the memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

# Buffers that outlive a body, in the frames of an error, free their memory through the pool.
_pools: list[pa.MemoryPool] = []


@contextmanager
def counted_memory() -> Iterator[pa.MemoryPool]:
    """Gives the body a pool that counts the bytes that Arrow takes in it."""
    pool = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(pool)
    _pools.append(counting)
    pa.set_memory_pool(counting)
    try:
        yield counting
    finally:
        pa.set_memory_pool(pool)
