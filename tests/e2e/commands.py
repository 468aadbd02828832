"""The product's commands as a person types them."""

import subprocess
import sys

from e2e.backend import Backend


def run(backend: Backend, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command where a backend runs, with the same environment."""
    return subprocess.run(
        _command(arguments), env=_environment(backend), capture_output=True, text=True, timeout=150
    )


def begin(backend: Backend, *arguments: str) -> subprocess.Popen[bytes]:
    """A command that goes on while the test does."""
    return subprocess.Popen(
        _command(arguments), env=_environment(backend), stdin=subprocess.DEVNULL
    )


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "timelinelabels", *arguments]


def _environment(backend: Backend) -> dict[str, str]:
    return {**backend.environment, "LOG_LEVEL": "", "COLUMNS": "200"}
