"""Reading a memory-mapped array from beginning to end without its pages staying in the process.

Pages that a mapping has shown count as the process's memory until the system wants them back. Of a video of
five hours that is 1.2 GB, which a container's limit, or a person who looks, takes for a leak.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT_BYTES = 32_000_000  # read between two times that pages are given back


def in_parts(array: NDArray[Any], rows: int) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Consecutive parts of an array, each with where it lies; mapped or not.

    Args:
        array: (T, …).
        rows: of a part; the last one may have fewer.
    """
    mapping, read = _mapping_of(array), 0
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        yield slice(start, start + rows), part
        read += part.nbytes
        if mapping is not None and read >= _KEPT_BYTES:
            mapping.madvise(mmap.MADV_DONTNEED)  # they stay in the system's cache
            read = 0


def _mapping_of(array: object) -> mmap.mmap | None:
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None
