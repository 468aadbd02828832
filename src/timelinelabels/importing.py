"""Importing large packages: faster, and without what they do to the environment."""

from __future__ import annotations

import gc
import os
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


@contextmanager
def environment_kept() -> Iterator[None]:
    """The environment is the process's: what changes in it here is put back."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
