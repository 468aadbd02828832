"""The product as a person runs it: `timelinelabels serve` on a port of its own."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from e2e.label_studio import eventually, free_port


class Backend:
    """One running backend.

    Args:
        folder: its MODEL_ROOT (with weights in it), its cache and its log.
        environment: further settings.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.log = folder / "serve.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "MODEL_ROOT": str(folder / "models"),
            "CACHE_DIR": str(folder / "cache"),
            "LOG_LEVEL": "DEBUG",
            **environment,
        }

    def start(self) -> None:
        """Start it and wait until it answers /setup in time, too."""
        ready = self._times_ready()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "timelinelabels", "serve"),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                ],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(self._up)
        eventually(lambda: self._times_ready() > ready)

    def _times_ready(self) -> int:
        return self.log.read_text().count("Ready after") if self.log.exists() else 0

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"serve ended:\n{self.log.read_text()[-3000:]}")
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def versions(self) -> list[str]:
        user = self.environment.get("BASIC_AUTH_USER")
        auth = (user, self.environment["BASIC_AUTH_PASS"]) if user else None
        return httpx.get(f"{self.url}/versions", auth=auth, timeout=20).json()["versions"]
