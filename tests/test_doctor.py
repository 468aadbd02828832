"""What `doctor` says of this machine. `tests/e2e/test_diagnosis.py` tries it on a real Label Studio."""

import threading
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from timelinelabels.control_models.resources import Backbones
from timelinelabels.doctor.findings import Verdict
from timelinelabels.doctor.machine import (
    LITTLE_DISK,
    NO_DISK,
    check_backend,
    check_clock,
    check_disk,
    check_weights,
)
from timelinelabels.labelstudio.client import LabelStudioClient


@pytest.fixture
def published(tmp_path: Path, seeded_weights: Path) -> Iterator[str]:
    """A server that has the default weights, and nothing else."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "yolov8n-cls.pt").write_bytes(seeded_weights.read_bytes())
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_weights_that_are_there_are_well(model_root: Path) -> None:
    found = check_weights(Backbones(model_root), None)
    assert (found.verdict, found.text) == (Verdict.OK, "The weights yolov8n-cls can be used")


def test_missing_weights_that_serve_can_download_are_a_warning(
    published: str, tmp_path: Path
) -> None:
    found = check_weights(Backbones(tmp_path, published_at=published), None)
    assert found.verdict is Verdict.WARN
    assert f"{published}/yolov8n-cls.pt" in found.remedy
    assert not (tmp_path / "yolov8n-cls.pt").exists()


@pytest.mark.parametrize("model_path", [None, "yolo11n-cls.pt", "own.pt"])
def test_missing_weights_that_nobody_can_download_are_a_failure(
    published: str, tmp_path: Path, model_path: str | None
) -> None:
    where = "http://127.0.0.1:9" if model_path is None else published
    found = check_weights(Backbones(tmp_path, published_at=where), model_path)
    assert found.verdict is Verdict.FAIL
    assert (model_path or "yolov8n-cls.pt") in found.text
    assert str(tmp_path) in found.text


def test_weights_that_cannot_be_used_are_a_failure(tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_bytes(b"no checkpoint")
    found = check_weights(Backbones(tmp_path), "own.pt")
    assert found.verdict is Verdict.FAIL
    assert "own.pt" in found.text


@pytest.mark.parametrize(
    ("little", "none", "verdict"),
    [(0, 0, Verdict.OK), (2**60, 0, Verdict.WARN), (2**60, 2**60, Verdict.FAIL)],
)
def test_a_full_disk_is_told_before_it_is_full(
    tmp_path: Path, little: int, none: int, verdict: Verdict
) -> None:
    folder = tmp_path / "not" / "made yet"
    (found,) = check_disk((folder,), little=little, none=none)
    assert found.verdict is verdict
    assert str(folder) in found.text
    assert NO_DISK < LITTLE_DISK


@pytest.mark.parametrize(
    ("minutes", "verdict"), [(0, Verdict.OK), (-10, Verdict.WARN), (9, Verdict.WARN)]
)
def test_clocks_that_differ_are_told(minutes: int, verdict: Verdict) -> None:
    told = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"Date": told}))
    client = LabelStudioClient("http://label-studio", "0" * 40, transport=transport)
    (found,) = check_clock(client)
    assert found.verdict is verdict


def test_something_else_at_the_backends_address_is_told(published: str) -> None:
    assert check_backend(published, None).verdict is Verdict.FAIL
    assert "does not answer" in check_backend("http://127.0.0.1:9", None).text


class _Guarded(BaseHTTPRequestHandler):
    """Answers as the backend does where BASIC_AUTH_USER is "a" and BASIC_AUTH_PASS "b"."""

    def do_GET(self) -> None:
        accepted = self.headers.get("Authorization") == "Basic " + b64encode(b"a:b").decode()
        body = b'{"model_class": "TimelineLabelsModel"}'
        self.send_response(200 if accepted or self.path == "/health" else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize(
    ("basic_auth", "verdict", "words"),
    [
        (("a", "b"), Verdict.OK, "answers"),
        (("a", "other"), Verdict.FAIL, "another BASIC_AUTH_USER"),
        (None, Verdict.FAIL, "asks for BASIC_AUTH_USER"),
    ],
)
def test_a_backend_that_asks_for_another_password_is_told(
    basic_auth: tuple[str, str] | None, verdict: Verdict, words: str
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Guarded)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        found = check_backend(f"http://127.0.0.1:{server.server_address[1]}", basic_auth)
    finally:
        server.shutdown()
        server.server_close()
    assert found.verdict is verdict
    assert words in found.text
