"""All benchmarks, one after the other; what each measured stands in RESULTS.md afterwards.

    python benchmarks/everything.py [--only extraction serving …]

Those that need real videos run where TIMELINELABELS_DATA names their folder. Where one fails, the others go
on, and the command ends with 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from results import RESULTS, load, machine

HERE = Path(__file__).parent
BENCHMARKS = ("extraction", "queue_of_clips", "training", "live", "serving")
ON_REAL_VIDEOS = ("precision", "sampling", "learning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[*BENCHMARKS, *ON_REAL_VIDEOS])
    given = parser.parse_args()
    real = ON_REAL_VIDEOS if os.environ.get("TIMELINELABELS_DATA") else ()
    if not real and not given.only:
        print(f"TIMELINELABELS_DATA is unset: {', '.join(ON_REAL_VIDEOS)} are left out")
    failed = []
    for name in given.only or [*BENCHMARKS, *real]:
        print(f"{name}: {machine()}, {load()}", flush=True)
        if subprocess.run([sys.executable, HERE / f"{name}.py"], check=False).returncode:
            failed.append(name)
    print(f"Results: {RESULTS}")
    if failed:
        sys.exit(f"These benchmarks failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
