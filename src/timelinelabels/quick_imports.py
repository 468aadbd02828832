"""Importing large packages faster."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let Python's garbage collector rest while packages are imported.

    What an import makes stays. That the collector looks through it again and again is a fifth of torch's
    import, and half of Ultralytics'.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
