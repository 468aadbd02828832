"""A real Label Studio for the end-to-end tests: a process of its own, and its API.

It lives in a virtual environment of its own (`make label-studio`), because it pins versions that the
product must not be held to.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

VENV_VARIABLE = "TIMELINELABELS_LABEL_STUDIO_VENV"
DEFAULT_VENV = Path(__file__).parents[2] / ".labelstudio-venv"
USER, PASSWORD, TOKEN = (
    "annotator@example.com",
    "correct horse battery",
    "0123456789abcdef" * 2 + "01234567",
)
START_SECONDS = 180  # of a migrated database, on a machine that may be busy
MIGRATE_SECONDS = 480  # of a new one: 45 s on an idle machine
Value = TypeVar("Value")


def label_studio_command() -> Path | None:
    """The installed `label-studio`, None where there is none."""
    command = Path(os.environ.get(VENV_VARIABLE) or DEFAULT_VENV) / "bin" / "label-studio"
    return command if command.is_file() else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(
    condition: Callable[[], Value], seconds: float = 180.0, *, every: float = 0.2
) -> Value:
    """The first true value of a condition."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s; at last: {value!r}")
        time.sleep(every)


class LabelStudio:
    """One running Label Studio.

    Args:
        command: the `label-studio` of its virtual environment.
        folder: its data, its log and the folder of its local-files storages.
    """

    def __init__(self, command: Path, folder: Path) -> None:
        self._command = command
        self.data = folder / "data"
        self.local_files = folder / "local files"
        self.local_files.mkdir(parents=True, exist_ok=True)
        self.log = folder / "label-studio.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Further environment variables; a test may change them while it is stopped.
        self.settings = {
            "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
            "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers; the first start of a data folder takes a minute."""
        if not self.data.exists():
            shutil.copytree(self._migrated_data(), self.data)
        self._run(self.data, START_SECONDS)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _migrated_data(self) -> Path:
        """A data folder with a migrated, empty database, made once for each installation."""
        kept = self._command.parents[1] / "migrated-data"
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                fresh = Path(folder) / "data"
                self._run(fresh, MIGRATE_SECONDS)
                self.stop()
                try:
                    fresh.rename(kept)
                except OSError:
                    assert kept.exists()  # another test run was faster
        return kept

    def _run(self, data: Path, seconds: float) -> None:
        data.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(data),
            "LABEL_STUDIO_BASE_DATA_DIR": str(data),
            "DJANGO_DB": "sqlite",
            "LABEL_STUDIO_HOST": self.url,
            "LABEL_STUDIO_USERNAME": USER,
            "LABEL_STUDIO_PASSWORD": PASSWORD,
            "LABEL_STUDIO_USER_TOKEN": TOKEN,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            **self.settings,
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.local_files),
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(self._command), "start", "--no-browser", "--internal-host", "127.0.0.1"),
                    *("--port", str(self.port), "--log-level", "INFO"),
                ],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(self._up, seconds)

    def _up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"Label Studio ended:\n{self.log.read_text()[-3000:]}")
        try:
            return httpx.get(f"{self.url}/health", timeout=10).json().get("status") == "UP"
        except (httpx.TransportError, ValueError):
            return False


class Api:
    """Label Studio's HTTP API as one user sees it."""

    def __init__(self, url: str, token: str = TOKEN) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url, headers={"Authorization": f"Token {token}"}, timeout=150
        )

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The JSON of a request that must succeed; None where the answer is empty."""
        response = self.http.request(method, path, json=body, **options)
        assert response.is_success, (
            f"{method} {path}: {response.status_code} {response.text[:2000]}"
        )
        return response.json() if response.content else None

    def project(self, title: str, label_config: str) -> int:
        return self("POST", "/api/projects", {"title": title, "label_config": label_config})["id"]

    def connect(self, project: int, backend_url: str) -> int:
        """Add the backend as a person does on the Model page."""
        body = {"project": project, "url": backend_url, "title": "timelinelabels"}
        return self("POST", "/api/ml", body)["id"]

    def upload(self, project: int, video: Path, name: str | None = None) -> None:
        """Import one video file as one task."""
        files = {"file": (name or video.name, video.read_bytes(), "video/mp4")}
        response = self.http.post(f"/api/projects/{project}/import", files=files)
        assert response.status_code == 201, response.text

    def add_local_files(self, project: int, folder: Path) -> None:
        """A local-files storage, synchronised: one task for each file."""
        body = {
            "project": project,
            "path": str(folder),
            "use_blob_urls": True,
            "regex_filter": ".*mp4",
            "title": folder.name,
        }
        storage = self("POST", "/api/storages/localfiles", body)["id"]
        self("POST", f"/api/storages/localfiles/{storage}/sync")

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """All tasks with annotations and predictions, by id; nothing is predicted by this."""
        found = list(self._pages(project))
        return sorted(found, key=lambda task: task["id"])

    def _pages(self, project: int) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            query = f"project={project}&fields=all&page={page}&page_size=100"
            answer = self("GET", f"/api/tasks?{query}")
            yield from answer["tasks"]
            if page * 100 >= answer["total"]:
                return
            page += 1

    def open_task(self, task: int) -> dict[str, Any]:
        """What the editor asks for: Label Studio calls /predict if there is no prediction."""
        return self("GET", f"/api/tasks/{task}")

    def annotate(self, task: int, result: list[dict[str, Any]], **fields: Any) -> int:
        body = {"result": result, **fields}
        return self("POST", f"/api/tasks/{task}/annotations/", body)["id"]

    def predictions(self, task: int) -> list[dict[str, Any]]:
        return self("GET", f"/api/predictions?task={task}")

    def retrieve_predictions(self, project: int) -> Any:
        """The Data Manager's action, on all tasks."""
        everything = json.dumps({"all": True, "excluded": []})
        body = {"selectedItems": json.loads(everything), "ordering": [], "project": project}
        return self(
            "POST", f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}", body
        )

    def close(self) -> None:
        self.http.close()
