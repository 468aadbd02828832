"""The product's commands as a person types them."""

import subprocess
import sys

from e2e.backend import Backend


def run(backend: Backend, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command where a backend runs, with the same environment."""
    return subprocess.run(
        [sys.executable, "-m", "timelinelabels", *arguments],
        env={**backend.environment, "LOG_LEVEL": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=150,
    )
