"""Reading mapped arrays in parts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from timelinelabels.mapped_rows import in_parts


@pytest.mark.parametrize("length", [0, 1, 7, 8, 20])
def test_the_parts_are_the_whole_in_order(length: int) -> None:
    array = np.arange(3 * length).reshape(length, 3)
    parts = list(in_parts(array, 8))
    assert all(np.array_equal(array[place], part) for place, part in parts)
    assert [len(part) for _, part in parts] == [min(8, length - at) for at in range(0, length, 8)]


def test_mapped_rows_stay_right_when_their_pages_are_given_back(tmp_path: Path) -> None:
    expected = np.arange(20_000_000, dtype=np.int32).reshape(-1, 1000)
    (tmp_path / "rows").write_bytes(expected.tobytes())
    mapped = np.memmap(tmp_path / "rows", np.uint8, "r").view(np.int32).reshape(-1, 1000)
    for place, part in in_parts(mapped, 300):
        assert np.array_equal(part, expected[place])
    assert np.array_equal(mapped, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is told as on Linux")
def test_reading_a_large_mapping_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(bytes(200_000_000))
    script = """
import sys
import numpy as np
from timelinelabels.mapped_rows import in_parts
def peak():
    # Not ru_maxrss: a new process inherits it from the one that made it.
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000
mapped = np.memmap(sys.argv[1], np.uint8, "r").reshape(-1, 1000)[1:]
before = peak()
assert sum(int(part.sum()) for _, part in in_parts(mapped, 1000)) == 0
print(peak() - before)
"""
    grown = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True
    ).stdout
    assert float(grown) < 60, "megabytes"
