"""What the header of a .npy file says, believed only where the bytes behind it are as many.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. The header is a
Python literal, which NumPy parses without evaluating it.
"""

import io
import math
import tokenize
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.lib import format as npy_format

from ray_defense.decoding.packed_member import ArchiveError

START_BYTES = 2**14  # NumPy refuses a header of more than 10,000
_MAX_RANK = 8
_KINDS = "biufUS"  # booleans, numbers and texts of a fixed length


@dataclass(frozen=True)
class NpyHeader:
    """How the bytes of an array lie in a file."""

    dtype: np.dtype
    shape: tuple[int, ...]
    is_fortran: bool  # whether the first axis runs fastest
    offset: int  # bytes before those of the array

    @property
    def num_bytes(self) -> int:
        """The bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy_header(start: bytes, num_bytes: int) -> NpyHeader:
    """Returns the header of a .npy file.

    Args:
        start: The first `START_BYTES` of the file.
        num_bytes: Those of the whole file.

    Raises:
        ArchiveError: If there is none, the array holds objects, or has not the bytes that it says.
    """
    file = io.BytesIO(start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            version = npy_format.read_magic(file)
            if version == (1, 0):
                shape, is_fortran, dtype = npy_format.read_array_header_1_0(file)
            else:
                shape, is_fortran, dtype = npy_format.read_array_header_2_0(file)
    # A damaged literal raises what Python's tokenizer and parser do.
    except (ValueError, TypeError, KeyError, OverflowError, SyntaxError) as error:
        raise ArchiveError(f"no header of an array: {error}") from None
    except (tokenize.TokenError, RecursionError, MemoryError) as error:
        raise ArchiveError(f"no header of an array: {error}") from None
    if dtype.hasobject or dtype.kind not in _KINDS or dtype.itemsize == 0:
        raise ArchiveError(
            f"it holds {dtype}, and not numbers or texts: save it as numbers (objects are pickles, "
            "which are never opened)"
        )
    header = NpyHeader(dtype, tuple(shape), is_fortran, offset=file.tell())
    is_shape = len(shape) <= _MAX_RANK and all(length >= 0 for length in shape)
    if not is_shape or header.offset + header.num_bytes != num_bytes:
        raise ArchiveError(
            f"an array of shape {shape} and type {dtype} does not have the "
            f"{num_bytes - header.offset} bytes that are there: it is damaged"
        )
    return header
