"""Which weights file is used, and fetching the default ones from a real server on this machine."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from timelinelabels.backbones import (
    DEFAULT_WEIGHTS,
    ensure_weights,
    find_download,
    resolve_weights,
)
from timelinelabels.errors import WeightsForbiddenError, WeightsNotFoundError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "leaf.pt").write_bytes(b"x")
    (tmp_path / "secret.pt").write_bytes(b"x")
    return folder


def test_without_a_choice_the_default_weights_are_meant(root: Path) -> None:
    for allow in (True, False):
        assert resolve_weights(None, model_root=root, allow_custom=allow) == root / DEFAULT_WEIGHTS


@pytest.mark.parametrize("given", ["own/leaf.pt", "./own/leaf.pt", "{root}/own/leaf.pt"])
def test_a_choice_inside_the_root_is_accepted(root: Path, given: str) -> None:
    path = given.format(root=root)
    assert resolve_weights(path, model_root=root, allow_custom=True) == root / "own" / "leaf.pt"


def test_a_root_that_is_a_link_itself_may_be_named_both_ways(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    for given in ("own/leaf.pt", f"{link}/own/leaf.pt", f"{root}/own/leaf.pt"):
        assert (
            resolve_weights(given, model_root=link, allow_custom=True) == root / "own" / "leaf.pt"
        )


@pytest.mark.parametrize(
    "given",
    [
        "../secret.pt",
        "own/../../secret.pt",
        "own/../own/leaf.pt",
        "{tmp}/secret.pt",
        "{root}/../secret.pt",
        "{root}-other/leaf.pt",
        "/etc/passwd",
        "own\\leaf.pt",
        "own/leaf.pt\0",
        "own",
        "own/leaf.onnx",
        "",
        ".",
        "..",
        "https://example.org/leaf.pt/..",
    ],
)
def test_a_choice_that_leads_elsewhere_is_refused(root: Path, tmp_path: Path, given: str) -> None:
    path = given.format(root=root, tmp=tmp_path)
    with pytest.raises(WeightsForbiddenError, match="MODEL_ROOT"):
        resolve_weights(path, model_root=root, allow_custom=True)


def test_links_are_refused_whether_of_the_file_or_of_a_folder(root: Path, tmp_path: Path) -> None:
    (root / "link.pt").symlink_to(tmp_path / "secret.pt")
    (root / "inside.pt").symlink_to(root / "own" / "leaf.pt")
    (root / "folder").symlink_to(tmp_path)
    (root / "dangling.pt").symlink_to(root / "nothing.pt")
    for given in ("link.pt", "inside.pt", "folder/secret.pt", "dangling.pt"):
        with pytest.raises(WeightsForbiddenError, match="symbolic link"):
            resolve_weights(given, model_root=root, allow_custom=True)


def test_the_default_weights_may_be_a_link_that_an_administrator_made(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "mounted.pt").write_bytes(b"weights")
    (root / "yolov8n-cls.pt").symlink_to(tmp_path / "mounted.pt")
    path = resolve_weights(None, model_root=root, allow_custom=False)
    assert path.read_bytes() == b"weights"
    with pytest.raises(WeightsForbiddenError, match="symbolic link"):
        resolve_weights("yolov8n-cls.pt", model_root=root, allow_custom=True)


def test_no_choice_is_accepted_where_it_is_switched_off(root: Path) -> None:
    with pytest.raises(WeightsForbiddenError, match="ALLOW_CUSTOM_MODEL_PATH=false"):
        resolve_weights("own/leaf.pt", model_root=root, allow_custom=False)


# Downloading


class Server:
    """Serves one answer to everything, and remembers what was asked for."""

    def __init__(self) -> None:
        self.status, self.body, self.length = 200, b"", None
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.send_response(outer.status)
                self.send_header("Content-Length", str(outer.length or len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v8"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def test_missing_default_weights_are_downloaded_once(
    server: Server, seeded_weights: Path, tmp_path: Path
) -> None:
    server.body = seeded_weights.read_bytes()
    path = tmp_path / "new folder" / DEFAULT_WEIGHTS
    ensure_weights(path, published_at=server.url)
    ensure_weights(path, published_at=server.url)
    assert path.read_bytes() == server.body
    assert server.asked == ["/v8/yolov8n-cls.pt"]
    assert [p.name for p in path.parent.iterdir()] == [DEFAULT_WEIGHTS]


def test_what_cannot_be_downloaded_names_the_file_the_folder_and_the_url(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v8"
    with pytest.raises(WeightsNotFoundError) as raised:
        ensure_weights(tmp_path / DEFAULT_WEIGHTS, published_at=url)
    for part in (DEFAULT_WEIGHTS, str(tmp_path), f"{url}/{DEFAULT_WEIGHTS}", "refused"):
        assert part in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["page", "missing", "cut off", "empty"])
def test_an_answer_that_is_no_checkpoint_leaves_no_file(
    server: Server, seeded_weights: Path, tmp_path: Path, kind: str
) -> None:
    server.body = {
        "page": b"<html>Please log in</html>",
        "missing": b"no",
        "cut off": seeded_weights.read_bytes()[:1000],
        "empty": b"",
    }[kind]
    server.status = 404 if kind == "missing" else 200
    server.length = 100_000 if kind == "cut off" else None
    with pytest.raises(WeightsNotFoundError, match="could not be downloaded"):
        ensure_weights(tmp_path / DEFAULT_WEIGHTS, published_at=server.url)
    assert list(tmp_path.iterdir()) == []


def test_only_what_ultralytics_publishes_is_asked_for(server: Server, tmp_path: Path) -> None:
    for name in ("own.pt", "yolov8n.pt", "yolov8z-cls.pt"):
        with pytest.raises(WeightsNotFoundError, match=r"no weights .* Put the file there"):
            ensure_weights(tmp_path / name, published_at=server.url)
    assert server.asked == []


def test_a_folder_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WeightsNotFoundError, match="file"):
        ensure_weights(tmp_path / "file" / DEFAULT_WEIGHTS, published_at=server.url)


def test_where_weights_can_be_had_is_found_out_without_downloading_them(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "models" / DEFAULT_WEIGHTS
    server.body = b"x" * 100
    assert find_download(path, published_at=server.url) == f"{server.url}/{DEFAULT_WEIGHTS}"
    assert not path.parent.exists()
    server.status = 404
    with pytest.raises(WeightsNotFoundError, match="404"):
        find_download(path, published_at=server.url)
    with pytest.raises(WeightsNotFoundError, match=r"own\.pt"):
        find_download(path.with_name("own.pt"), published_at=server.url)
