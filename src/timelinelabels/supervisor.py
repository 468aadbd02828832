"""`timelinelabels serve`: a supervisor with two children, web and worker.

Both children are programs of their own (nothing is forked after torch was imported). What dies is
started again, at once the first time and then more and more slowly. A second supervisor on the same
MODEL_ROOT is refused.
"""

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from filelock import FileLock, Timeout

from timelinelabels.errors import AlreadyRunningError, ModelRegistryError, SettingsError
from timelinelabels.lifeline import VARIABLE
from timelinelabels.settings import Settings

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0  # a child that ran this long starts its pauses anew
POLL_SECONDS = 0.2
WRONG_SETTINGS = 2  # the exit status of our commands where the environment is wrong
PORT_WAIT_SECONDS = 15.0  # the web process of a supervisor that was killed just now may still end


@dataclass(kw_only=True)
class _Child:
    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    started: float = 0.0
    failures: int = 0
    due: float = field(default=0.0)


class Supervisor:
    """Runs web and worker until it is told to stop.

    Args:
        settings: of this process; the children read the same environment.
        environment: variables that the command line changed.
    """

    def __init__(self, settings: Settings, environment: dict[str, str]) -> None:
        self._settings = settings
        self._environment = environment
        self._stop = threading.Event()
        python = sys.executable
        # In the order of their starts: a person may already wait for the web process.
        self._children = [
            _Child(
                name="web",
                command=[
                    python,
                    "-m",
                    "gunicorn",
                    "--config",
                    "python:timelinelabels.server.gunicorn_config",
                    "timelinelabels.server.app:create_app_from_environment()",
                ],
            ),
            _Child(name="worker", command=[python, "-m", "timelinelabels", "worker"]),
        ]

    def run(self) -> None:
        """Supervise until SIGTERM or SIGINT.

        Raises:
            AlreadyRunningError: another supervisor has this MODEL_ROOT, or another program the port.
            ModelRegistryError: MODEL_ROOT cannot be written.
            SettingsError: HOST is not an address of this machine, or PORT is not to be had; or a child
                cannot run with these settings (a DEVICE that is not there), which it has told.
        """
        root = self._settings.model_root
        lock = FileLock(root / "serve.lock", blocking=False)
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise AlreadyRunningError(
                f"Another `timelinelabels serve` already runs on MODEL_ROOT={root.resolve()}. Stop it "
                "first, or give this one a MODEL_ROOT of its own."
            ) from None
        except OSError as error:
            raise ModelRegistryError(
                f"MODEL_ROOT={root.resolve()} cannot be written: {error.strerror or error}"
            ) from error
        with ExitStack() as stack:
            stack.callback(lock.release)
            self._check_address()
            read_end, write_end = os.pipe()
            stack.callback(os.close, read_end)
            stack.callback(os.close, write_end)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self._stop.set())
            stack.callback(self._end_children)
            while not self._stop.is_set():
                for child in self._children:
                    self._look_after(child, read_end)
                self._stop.wait(POLL_SECONDS)

    def _check_address(self) -> None:
        """Say at once, and in words, what the web process would fail for again and again."""
        host, port = self._settings.host, self._settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        deadline = time.monotonic() + PORT_WAIT_SECONDS
        while True:
            try:
                socket.create_server((host, port), family=family).close()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise SettingsError(
                        f"HOST={host}, PORT={port}: this machine cannot listen there: "
                        f"{error.strerror or error}"
                    ) from error
                if time.monotonic() >= deadline:
                    raise AlreadyRunningError(
                        f"PORT={port} on HOST={host} is used by another program. Stop that one, or "
                        "choose another port: timelinelabels serve --port 9091"
                    ) from error
                time.sleep(POLL_SECONDS)
            else:
                return

    def _look_after(self, child: _Child, lifeline: int) -> None:
        now = time.monotonic()
        if child.process is not None:
            status = child.process.poll()
            if status is None:
                return
            if status == WRONG_SETTINGS and child.starts == 1:
                raise SettingsError(f"the {child.name} process cannot run so; see its error above")
            child.failures = 0 if now - child.started > STEADY_SECONDS else child.failures + 1
            pause = (
                min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** (child.failures - 1)) if child.failures else 0
            )
            child.due, child.process = now + pause, None
            logger.warning("%s ended (%s); it starts again in %.1f s", child.name, status, pause)
        if now >= child.due:
            environment = {**os.environ, **self._environment, VARIABLE: str(lifeline)}
            child.process = subprocess.Popen(child.command, env=environment, pass_fds=[lifeline])
            child.started = now
            child.starts += 1

    def _end_children(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
