"""Real processes on one store: nothing is done twice, and nothing is lost when one is killed."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from timelinelabels.labelstudio.payloads import ProjectRef
from timelinelabels.store import Store, migrate

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("store_process.py")


@contextmanager
def process(*arguments):
    started = subprocess.Popen(
        [sys.executable, PROGRAM, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def test_two_processes_never_claim_the_same_work(url):
    keys = {f"video {number}" for number in range(60)}
    with Store(url) as store:
        store.want_all("extract", {key: {} for key in keys})
    with process("claim-all", url) as one, process("claim-all", url) as two:
        for started in (one, two):
            assert started.stdout.readline() == "ready\n"
        for started in (one, two):
            started.stdin.write("go\n")
            started.stdin.flush()
        claimed = [started.communicate(timeout=60) for started in (one, two)]
    done = [line for output, _ in claimed for line in output.splitlines()]
    assert [errors for _, errors in claimed] == ["", ""]
    assert len(done) == len(keys)
    assert set(done) == keys
    assert all(output for output, _ in claimed)


def test_the_work_of_a_killed_process_is_claimed_again(url):
    with Store(url) as store:
        store.want("extract", "a", {"source": "a.mp4"})
        with process("hold", url, 1) as holder:
            assert holder.stdout.readline() == "a\n"
            holder.kill()
            holder.wait()
            assert store.claim("w", ["extract"]) is None
            deadline = time.monotonic() + 20
            while (item := store.claim("w", ["extract"])) is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert (item.payload, item.attempts) == ({"source": "a.mp4"}, 1)
        assert store.complete(item)


def test_a_process_that_sends_heartbeats_keeps_its_work(url):
    with Store(url) as store:
        store.want("extract", "a", {})
        with process("hold", url, 1, 0.2) as holder:
            assert holder.stdout.readline() == "a\n"
            end = time.monotonic() + 2
            while time.monotonic() < end:
                assert store.claim("w", ["extract"]) is None
                time.sleep(0.1)


def test_processes_that_ask_for_a_version_get_the_same(url):
    with Store(url) as store:
        key = store.resolve_project(ProjectRef("1"))
    with process("version", url, key) as one, process("version", url, key) as two:
        outputs = [started.communicate("go\n", timeout=60)[0] for started in (one, two)]
    assert outputs == ["v1\n", "v1\n"]


def test_processes_may_migrate_at_the_same_time(empty_url):
    with (
        process("migrate", empty_url) as one,
        process("migrate", empty_url) as two,
        process("migrate", empty_url) as three,
    ):
        ended = [started.communicate(timeout=60) for started in (one, two, three)]
        assert [started.returncode for started in (one, two, three)] == [0, 0, 0], ended
    with Store(empty_url) as store:
        assert store.statistics().projects == 0


def test_a_new_file_may_be_prepared_by_many_at_once(tmp_path):
    """SQLite refuses at once, whatever the timeout, while another connection changes the mode."""
    together = threading.Barrier(6)

    def prepare(path):
        together.wait()
        return migrate._turn_on_log(path)

    with ThreadPoolExecutor(6) as pool:
        for number in range(40):
            modes = list(pool.map(prepare, [tmp_path / f"{number}.db"] * 6))
            assert modes == ["wal"] * 6
