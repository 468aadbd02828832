"""How many processors this process may use."""

import math
import os
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def usable_processors() -> int:
    """Those that the system gives this process, which in a container can be fewer than there are."""
    given = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    granted = granted_processors(_GROUP)
    return min(given or 1, granted) if granted is not None else given or 1


def granted_processors(group: Path) -> int | None:
    """Processors that a control group (Docker's --cpus, a Kubernetes limit) grants; None: no limit.

    Args:
        group: its folder, of either version of control groups.
    """
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu" / "cpu.cfs_period_us").read_text()
    except OSError:
        return None
    return None if quota in {"max", "-1"} else max(1, math.ceil(int(quota) / int(period)))
