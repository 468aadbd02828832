"""RESULTS.md: one section a benchmark, replaced when that benchmark runs again."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
_TITLE = "# Benchmark results\n\nWritten by `make bench`; each section tells its command, machine and date."


def machine() -> str:
    """The processor's name and the number of its cores that this process may use."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        found = re.search(r"model name\s*: (.+)", information.read_text())
        name = found.group(1) if found else name
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def load() -> str:
    """How busy the machine was with other things, as far as the system tells."""
    return f"load average {os.getloadavg()[0]:.1f}"


def write_section(name: str, command: str, text: str) -> None:
    """Print a section and replace it in RESULTS.md."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    section = f"## {name}\n\n`{command}` · {machine()} · {when} · {load()}\n\n{text.strip()}\n"
    print(section)
    old = RESULTS.read_text() if RESULTS.exists() else _TITLE + "\n"
    kept = [part for part in re.split(r"(?m)^(?=## )", old) if not part.startswith(f"## {name}\n")]
    head, sections = kept[0], sorted([*(part.strip() + "\n" for part in kept[1:]), section])
    RESULTS.write_text("\n".join([head.strip() + "\n", *sections]))
