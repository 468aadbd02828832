"""How many processors this process may use."""

import os


def usable_processors() -> int:
    """Those that the system gives this process, which in a container can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
