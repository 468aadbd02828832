"""Media: what is admitted, what is refused in which words, and downloads from real servers."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timelinelabels.errors import (
    DownloadError,
    MediaError,
    MediaForbiddenError,
    MediaNotFoundError,
    MediaTooLargeError,
    SettingsError,
)
from timelinelabels.labelstudio.media import MediaPolicy, MediaResolver
from timelinelabels.labelstudio.media_policy import shown

VIDEO = bytes(range(256)) * 1000
LEGACY_KEY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL_KEY = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl"
ACCESS_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.c2lnbmF0dXJl"

Answer = Callable[[BaseHTTPRequestHandler], None]


class MediaServer:
    """A real HTTP server on 127.0.0.1: `answers` by path, and the requests that came."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, str | None]] = []  # target, Authorization
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.requests.append((self.path, self.headers.get("Authorization")))
                self.close_connection = True
                answer = server.answers.get(self.path.partition("?")[0], sends(404, b"no"))
                with suppress(BrokenPipeError, ConnectionResetError):  # a client that gave up
                    answer(self)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"

    @contextmanager
    def running(self) -> Iterator["MediaServer"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def serve(self, path: str, answer: Answer) -> str:
        self.answers[path] = answer
        return self.url + path


def sends(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def sends_slowly(body: bytes, pause: float) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        sends(200, b"", Content_Length=str(len(body)))(handler)
        for byte in body:
            time.sleep(pause)
            handler.wfile.write(bytes([byte]))

    return answer


@pytest.fixture
def label_studio() -> Iterator[MediaServer]:
    with MediaServer().running() as server:
        yield server


@pytest.fixture
def other() -> Iterator[MediaServer]:
    with MediaServer().running() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "media"


def policy_of(
    label_studio: MediaServer | None = None, *allowed: MediaServer, **fields
) -> MediaPolicy:
    known = {"label_studio_url": label_studio.url, "api_key": LEGACY_KEY} if label_studio else {}
    hosts = frozenset(server.host for server in allowed)
    return MediaPolicy(**{**known, "allowed_hosts": hosts, "read_timeout": 5.0, **fields})


def left_in(folder: Path) -> list[str]:
    """The files in the folder but the empty ones that waiting goes by."""
    found = [path for path in folder.glob("*") if path.is_file() and path.suffix != ".lock"]
    return sorted(path.name for path in found)


# Local files


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "sub").mkdir(parents=True)
    second.mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (first / "a.mp4").write_bytes(b"first")
    (second / "a.mp4").write_bytes(b"second")
    (second / "b ü.mp4").write_bytes(b"only second")
    (first / "sub" / "c.mp4").write_bytes(b"sub")
    return first, second


def local(roots: tuple[Path, ...], folder: Path) -> MediaResolver:
    return MediaResolver(MediaPolicy(media_roots=roots), folder)


def test_a_relative_path_is_looked_up_in_each_root_in_order(roots, folder):
    resolver = local(roots, folder)
    assert resolver.locate("a.mp4") == roots[0] / "a.mp4"
    assert resolver.fetch("b ü.mp4") == roots[1] / "b ü.mp4"
    assert resolver.locate("sub/c.mp4") == roots[0] / "sub" / "c.mp4"
    assert not folder.exists()


def test_an_absolute_path_or_file_address_inside_a_root_is_found(roots, folder):
    resolver = local(roots, folder)
    path = roots[1] / "b ü.mp4"
    assert resolver.locate(str(path)) == path
    assert resolver.locate(path.as_uri()) == path
    assert resolver.locate(path.as_uri().replace("file://", "file://localhost")) == path


def test_a_root_that_is_a_symlink_is_a_root(roots, folder, tmp_path):
    (tmp_path / "link").symlink_to(roots[0])
    assert local((tmp_path / "link",), folder).locate("a.mp4") == roots[0] / "a.mp4"
    assert local((roots[0],), folder).locate(str(tmp_path / "link" / "a.mp4")) == roots[0] / "a.mp4"


def test_a_missing_file_inside_the_roots_is_said_to_be_missing(roots, folder):
    for source in ("none.mp4", str(roots[0] / "none.mp4"), "a.mp4/b.mp4"):
        with pytest.raises(MediaNotFoundError, match="is not there"):
            local(roots, folder).locate(source)


def test_a_refused_path_does_not_tell_whether_it_exists(roots, folder, tmp_path):
    (roots[0] / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (roots[0] / "dangling.mp4").symlink_to(tmp_path / "nothing.mp4")
    (roots[0] / "outdir").symlink_to(tmp_path)
    sources = [
        *("out.mp4", "dangling.mp4", "outdir/secret.mp4", "outdir/nothing.mp4"),
        *("../secret.mp4", "../nothing.mp4", "sub/../a.mp4", "sub/../z.mp4"),
        *(
            str(tmp_path / "secret.mp4"),
            str(tmp_path / "nothing.mp4"),
            "/etc/passwd",
            "/etc/nothing",
        ),
        *(f"file://{tmp_path}/secret.mp4", f"file://{roots[0]}/%2e%2e/secret.mp4"),
        *("/proc/self/environ", "//etc/passwd", str(roots[0]) + "evil/a.mp4", "/" + "x" * 300),
    ]
    for source in sources:
        with pytest.raises(MediaForbiddenError) as caught:
            local(roots, folder).locate(source)
        path = source.removeprefix("file://").replace("%2e", ".")
        assert str(caught.value) == (
            f"{shown(path)} is not inside the folders of MEDIA_ROOTS, or leads out of them"
        )


def test_a_name_that_leads_out_of_one_root_is_still_found_in_the_next(roots, folder, tmp_path):
    (roots[0] / "b ü.mp4").symlink_to(tmp_path / "secret.mp4")
    assert local(roots, folder).locate("b ü.mp4") == roots[1] / "b ü.mp4"


def test_what_is_no_regular_file_is_refused(roots, folder):
    os.mkfifo(roots[0] / "pipe.mp4")
    for source in ("sub", "pipe.mp4", "."):
        with pytest.raises(MediaError, match="not a regular file"):
            local(roots, folder).locate(source)


@pytest.mark.parametrize(
    "source",
    ["a\0.mp4", "file:///a%00.mp4", "a\n.mp4", "\ud800.mp4", "", " ", "x" * 9000, "x" * 300],
)
def test_a_name_that_no_file_has_is_refused(roots, folder, source):
    with pytest.raises(MediaError) as caught:
        local(roots, folder).locate(source)
    assert "\n" not in str(caught.value)
    assert "\0" not in str(caught.value)


@given(source=st.text(max_size=40) | st.from_regex(r"\A(https?|file)://(xn--|[^ ]{0,3})[^ ]{0,20}"))
def test_any_text_is_refused_with_a_media_error(source, tmp_path_factory):
    policy = MediaPolicy(media_roots=(tmp_path_factory.getbasetemp() / "nowhere",))
    with pytest.raises(MediaError):
        MediaResolver(policy, Path("unused")).locate(source)


# Nothing configured


@pytest.mark.parametrize(
    "source, settings",
    [
        ("/videos/a.mp4", ["MEDIA_ROOTS"]),
        ("a.mp4", ["MEDIA_ROOTS"]),
        ("file:///videos/a.mp4", ["MEDIA_ROOTS"]),
        ("/data/upload/1/a.mp4", ["LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"]),
        ("/data/local-files/?d=a.mp4", ["LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"]),
        ("https://example.org/a.mp4", ["ALLOWED_MEDIA_HOSTS"]),
        ("http://host:8080/data/upload/1/a.mp4", ["ALLOWED_MEDIA_HOSTS", "LABEL_STUDIO_URL"]),
        ("s3://bucket/a.mp4", ["LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"]),
        ("gs://bucket/a.mp4", ["LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"]),
        ("azure-blob://container/a.mp4", ["LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"]),
        ("ftp://host/a.mp4", ["not supported", "MEDIA_ROOTS"]),
        ("data:video/mp4;base64,AAAA", ["not supported", "MEDIA_ROOTS"]),
        ("file://other-host/a.mp4", ["another machine"]),
    ],
)
def test_where_nothing_is_configured_the_error_names_the_setting(source, settings, folder):
    for ask in (
        MediaResolver(MediaPolicy(), folder).locate,
        MediaResolver(MediaPolicy(), folder).fetch,
    ):
        with pytest.raises(MediaForbiddenError) as caught:
            ask(source)
        assert all(setting in str(caught.value) for setting in settings)
    assert not folder.exists()


def test_label_studio_without_a_key_is_an_error_that_names_the_key(folder):
    policy = MediaPolicy(label_studio_url="http://127.0.0.1:9")
    with pytest.raises(MediaForbiddenError, match="set LABEL_STUDIO_API_KEY"):
        MediaResolver(policy, folder).fetch("/data/upload/1/a.mp4")


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://host", "http://", "http://me:pw@host", "http://a:b"]
)
def test_a_label_studio_url_that_is_none_is_refused(url):
    with pytest.raises(SettingsError, match="LABEL_STUDIO_URL"):
        MediaPolicy(label_studio_url=url)


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "schlüssel"])
def test_an_api_key_that_is_none_is_refused(key):
    with pytest.raises(SettingsError, match="LABEL_STUDIO_API_KEY"):
        MediaPolicy(api_key=key)


def test_the_api_key_is_not_in_the_policys_text():
    assert LEGACY_KEY not in repr(MediaPolicy(api_key=LEGACY_KEY))


# Which server is asked, and with which credential


@pytest.mark.parametrize(
    "source, asked",
    [
        ("/data/upload/1/0a1b-my%20clip.mp4", "/data/upload/1/0a1b-my%20clip.mp4"),
        ("/data/upload/1/0a1b-Fußball 1.mp4", "/data/upload/1/0a1b-Fu%C3%9Fball%201.mp4"),
        ("/data/local-files/?d=sub/a%20b.mp4", "/data/local-files/?d=sub/a%20b.mp4"),
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_label_studios_files_are_fetched_with_the_api_key(
    label_studio, folder, source, asked, absolute
):
    label_studio.serve(asked.partition("?")[0], sends(200, VIDEO))
    resolver = MediaResolver(policy_of(label_studio), folder)
    address = label_studio.url + source if absolute else source
    assert resolver.locate(address) is None
    path = resolver.fetch(address)
    assert path.read_bytes() == VIDEO
    assert path.suffix == ".mp4"
    assert label_studio.requests == [(asked, f"Token {LEGACY_KEY}")]
    assert resolver.locate(address) == resolver.fetch(address) == path
    assert len(label_studio.requests) == 1
    assert left_in(folder) == [path.name]


def test_label_studio_below_a_path_of_its_server_is_asked_there(label_studio, folder):
    label_studio.serve("/ls/data/upload/1/a.mp4", sends(200, VIDEO))
    policy = policy_of(label_studio, label_studio_url=f"{label_studio.url}/ls/")
    resolver = MediaResolver(policy, folder)
    assert resolver.fetch("/data/upload/1/a.mp4") == resolver.fetch("/ls/data/upload/1/a.mp4")


def test_another_server_is_asked_only_where_allowed_and_never_with_the_key(
    label_studio, other, folder
):
    address = other.serve("/a.mp4", sends(200, VIDEO))
    with pytest.raises(MediaForbiddenError, match="ALLOWED_MEDIA_HOSTS"):
        MediaResolver(policy_of(label_studio), folder).fetch(address)
    assert other.requests == []
    for allowed in (other.host, "127.0.0.1"):
        policy = policy_of(label_studio, allowed_hosts=frozenset({allowed}))
        MediaResolver(policy, folder / allowed).fetch(address)
    assert other.requests == [("/a.mp4", None)] * 2


@pytest.mark.parametrize(
    "address",
    [
        "http://label-studio:8080@{other}/a.mp4",
        "http://{host}@{other}/a.mp4",
        "http://{other}#@{host}/a.mp4",
        "http://{other}\\@{host}/a.mp4",
        "https://{host}/a.mp4",
        "http://{host}.example.org/a.mp4",
        "http://127.0.0.1/a.mp4",
        "http://xn--a/a.mp4",
    ],
)
def test_an_address_that_only_looks_like_label_studios_is_refused(
    label_studio, other, folder, address
):
    resolver = MediaResolver(policy_of(label_studio), folder)
    with pytest.raises(MediaError):
        resolver.fetch(address.format(host=label_studio.host, other=other.host))
    assert label_studio.requests == other.requests == []


@pytest.mark.parametrize("host", ["https://{host}", "http://localhost:1", "http://name-in-docker"])
def test_label_studios_own_paths_are_asked_of_label_studio_whatever_host_they_name(
    label_studio, folder, host
):
    label_studio.serve("/data/local-files/", sends(200, VIDEO))
    resolver = MediaResolver(policy_of(label_studio), folder)
    source = host.format(host=label_studio.host) + "/data/local-files/?d=a.mp4"
    assert resolver.fetch(source).read_bytes() == VIDEO
    assert label_studio.requests == [("/data/local-files/?d=a.mp4", f"Token {LEGACY_KEY}")]


def test_a_redirect_is_followed_and_the_key_stays_with_label_studio(label_studio, other, folder):
    label_studio.serve(
        "/data/upload/1/a.mp4", sends(302, Location=f"{other.url}/signed?sig=secret")
    )
    other.serve("/signed", sends(307, Location=f"{label_studio.url}/data/b.mp4"))
    label_studio.serve("/data/b.mp4", sends(303, Location="c.mp4#t=1"))
    label_studio.serve("/data/c.mp4", sends(200, VIDEO))
    path = MediaResolver(policy_of(label_studio, other), folder).fetch("/data/upload/1/a.mp4")
    assert path.read_bytes() == VIDEO
    assert other.requests == [("/signed?sig=secret", None)]
    assert label_studio.requests == [
        ("/data/upload/1/a.mp4", f"Token {LEGACY_KEY}"),
        ("/data/b.mp4", f"Token {LEGACY_KEY}"),
        ("/data/c.mp4", f"Token {LEGACY_KEY}"),
    ]


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest", "file:///etc/passwd", "{other}/a"]
)
def test_a_redirect_to_where_the_policy_does_not_lead_is_refused(
    label_studio, other, folder, target
):
    location = target.format(other=other.url)
    address = label_studio.serve("/data/upload/1/a.mp4", sends(302, Location=location))
    with pytest.raises(MediaForbiddenError, match="redirects elsewhere"):
        MediaResolver(policy_of(label_studio), folder).fetch(address)
    assert other.requests == []
    assert left_in(folder) == []


def test_a_redirect_loop_ends(other, folder):
    address = other.serve("/a.mp4", sends(302, Location="/a.mp4"))
    with pytest.raises(DownloadError, match="more than 5 redirects"):
        MediaResolver(policy_of(None, other), folder).fetch(address)
    assert len(other.requests) == 6


@pytest.mark.parametrize("headers", [{}, {"Location": "http://a:b"}])
def test_a_redirect_to_no_address_is_an_error(other, folder, headers):
    address = other.serve("/a.mp4", sends(302, **headers))
    with pytest.raises(DownloadError, match="redirects to no address"):
        MediaResolver(policy_of(None, other), folder).fetch(address)


# Tokens


def exchanges(status: int, answer: object) -> Answer:
    return sends(status, json.dumps(answer).encode(), Content_Type="application/json")


def test_a_personal_access_token_is_exchanged_once_and_sent_as_bearer(label_studio, folder):
    label_studio.serve("/api/token/refresh", exchanges(200, {"access": ACCESS_TOKEN}))
    resolver = MediaResolver(policy_of(label_studio, api_key=PERSONAL_KEY), folder)
    for name in ("a", "b"):
        label_studio.serve(f"/data/upload/1/{name}.mp4", sends(200, VIDEO))
        resolver.fetch(f"/data/upload/1/{name}.mp4")
    assert label_studio.requests == [
        ("/api/token/refresh", None),
        ("/data/upload/1/a.mp4", f"Bearer {ACCESS_TOKEN}"),
        ("/data/upload/1/b.mp4", f"Bearer {ACCESS_TOKEN}"),
    ]


def test_an_access_token_that_is_refused_is_exchanged_anew_next_time(label_studio, folder):
    label_studio.serve("/api/token/refresh", exchanges(200, {"access": ACCESS_TOKEN}))
    label_studio.serve("/data/upload/1/a.mp4", sends(401))
    resolver = MediaResolver(policy_of(label_studio, api_key=PERSONAL_KEY), folder)
    for _ in range(2):
        with pytest.raises(DownloadError, match="personal access token"):
            resolver.fetch("/data/upload/1/a.mp4")
    assert [path for path, _ in label_studio.requests].count("/api/token/refresh") == 2


@pytest.mark.parametrize(
    "answer",
    [
        exchanges(401, {"detail": "Token is invalid"}),
        exchanges(200, {"access": None}),
        exchanges(200, ["x"]),
        sends(200, b"<html>"),
        sends(302, Location="/user/login"),
    ],
)
def test_a_personal_access_token_that_is_not_exchanged_is_an_error_that_says_so(
    label_studio, folder, answer
):
    label_studio.serve("/api/token/refresh", answer)
    resolver = MediaResolver(policy_of(label_studio, api_key=PERSONAL_KEY), folder)
    with pytest.raises(DownloadError, match="did not exchange the personal access token") as caught:
        resolver.fetch("/data/upload/1/a.mp4")
    assert PERSONAL_KEY not in str(caught.value)


# Answers that are no video


@pytest.mark.parametrize(
    "answer, error, words",
    [
        (sends(401), DownloadError, ["HTTP 401", "personal access token", "legacy token"]),
        (sends(403), DownloadError, ["HTTP 403", "personal access token", "legacy token"]),
        (sends(404), MediaNotFoundError, ["HTTP 404", "LABEL_STUDIO_API_KEY"]),
        (sends(500, b"x"), DownloadError, ["HTTP 500"]),
        (sends(206, b"x"), DownloadError, ["HTTP 206"]),
        (
            sends(200, b"<html>Log in</html>", Content_Type="text/html; charset=utf-8"),
            DownloadError,
            ["text/html", "login page", "LABEL_STUDIO_API_KEY"],
        ),
        (sends(200, b"{}", Content_Type="application/json"), DownloadError, ["application/json"]),
        (sends(200, b""), DownloadError, ["0 bytes"]),
        (sends(200, b"x", Content_Encoding="gzip"), DownloadError, ["compressed"]),
        (sends(200, b"x", Content_Length="nonsense"), DownloadError, []),
        (sends(200, VIDEO, Content_Length=str(len(VIDEO) + 1)), DownloadError, []),
        (sends(200, b"", Content_Length="5"), DownloadError, []),
        (lambda handler: None, DownloadError, []),
        (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), DownloadError, []),
    ],
)
def test_an_answer_that_is_no_whole_video_leaves_nothing(
    label_studio, folder, answer, error, words
):
    label_studio.serve("/data/upload/1/a.mp4", answer)
    resolver = MediaResolver(policy_of(label_studio), folder)
    with pytest.raises(error) as caught:
        resolver.fetch("/data/upload/1/a.mp4")
    assert "/data/upload/1/a.mp4" in str(caught.value)
    assert all(word in str(caught.value) for word in words)
    assert left_in(folder) == []
    assert resolver.locate("/data/upload/1/a.mp4") is None


def test_a_failed_download_is_tried_again_by_the_next_call(other, folder):
    address = other.serve("/a.mp4", sends(500))
    resolver = MediaResolver(policy_of(None, other), folder)
    with pytest.raises(DownloadError):
        resolver.fetch(address)
    other.serve("/a.mp4", sends(200, VIDEO))
    assert resolver.fetch(address).read_bytes() == VIDEO


def chunked(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(20):
        handler.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")


def test_a_chunked_body_that_breaks_off_is_an_error(other, folder):
    address = other.serve("/a.mp4", chunked)
    with pytest.raises(DownloadError):
        MediaResolver(policy_of(None, other), folder).fetch(address)
    assert left_in(folder) == []


@pytest.mark.parametrize("answer", [sends(200, VIDEO), chunked])
def test_a_file_above_the_limit_is_refused_announced_or_not(other, folder, answer):
    address = other.serve("/a.mp4", answer)
    with pytest.raises(MediaTooLargeError, match="MAX_MEDIA_GB"):
        MediaResolver(policy_of(None, other, max_bytes=10_000), folder).fetch(address)
    assert left_in(folder) == []


def test_a_file_of_exactly_the_limit_is_taken(other, folder):
    address = other.serve("/a.mp4", sends(200, VIDEO))
    resolver = MediaResolver(policy_of(None, other, max_bytes=len(VIDEO)), folder)
    assert resolver.fetch(address).stat().st_size == len(VIDEO)


def test_a_server_that_falls_silent_is_given_up(other, folder):
    address = other.serve("/a.mp4", sends_slowly(b"xx", 3))
    started = time.monotonic()
    with pytest.raises(DownloadError, match="no answer in time"):
        MediaResolver(policy_of(None, other, read_timeout=0.2), folder).fetch(address)
    assert time.monotonic() - started < 2
    assert left_in(folder) == []


def test_a_server_that_drips_is_given_up_at_the_total_deadline(other, folder):
    address = other.serve("/a.mp4", sends_slowly(b"x" * 200, 0.02))
    policy = policy_of(None, other, read_timeout=1.0, total_timeout=0.3)
    with pytest.raises(DownloadError, match="not complete after"):
        MediaResolver(policy, folder).fetch(address)
    assert left_in(folder) == []


def test_a_server_that_is_not_there_is_an_error(other, folder):
    with pytest.raises(DownloadError, match="refused"):
        MediaResolver(MediaPolicy(allowed_hosts=frozenset({"127.0.0.1"})), folder).fetch(
            "http://127.0.0.1:9/a.mp4"
        )


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(other, tmp_path):
    address = other.serve("/a.mp4", sends(200, VIDEO))
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot be kept in"):
        MediaResolver(policy_of(None, other), tmp_path / "file" / "media").fetch(address)


# What is kept


def test_addresses_that_differ_in_the_query_only_are_kept_apart(other, folder):
    other.serve("/a.mp4", lambda handler: sends(200, handler.path.encode())(handler))
    resolver = MediaResolver(policy_of(None, other), folder)
    paths = [resolver.fetch(f"{other.url}/a.mp4?v={version}") for version in (1, 2)]
    assert [path.read_text() for path in paths] == ["/a.mp4?v=1", "/a.mp4?v=2"]


def test_a_place_inside_the_file_makes_no_other_address(other, folder):
    address = other.serve("/a.mp4", sends(200, VIDEO))
    resolver = MediaResolver(policy_of(None, other), folder)
    assert resolver.fetch(address) == resolver.fetch(address + "#t=5")


def test_a_copy_is_not_given_out_once_its_host_is_no_longer_allowed(other, folder):
    address = other.serve("/a.mp4", sends(200, VIDEO))
    MediaResolver(policy_of(None, other), folder).fetch(address)
    with pytest.raises(MediaForbiddenError):
        MediaResolver(MediaPolicy(), folder).locate(address)


def test_what_a_killed_download_left_is_written_over(other, folder):
    address = other.serve("/a.mp4", sends(500))
    resolver = MediaResolver(policy_of(None, other), folder)
    with pytest.raises(DownloadError):
        resolver.fetch(address)
    (lock,) = folder.glob("*.lock")
    lock.with_suffix(".partial").write_bytes(b"half" * 100_000)
    assert resolver.locate(address) is None
    other.serve("/a.mp4", sends(200, VIDEO))
    assert resolver.fetch(address).read_bytes() == VIDEO
    assert len(left_in(folder)) == 1


FETCH = """
import sys
from pathlib import Path
from timelinelabels.labelstudio.media import MediaPolicy, MediaResolver
policy = MediaPolicy(allowed_hosts=frozenset({"127.0.0.1"}))
print(MediaResolver(policy, Path(sys.argv[1])).fetch(sys.argv[2]).stat().st_size)
"""


def test_processes_and_threads_that_want_the_same_file_ask_once(other, folder):
    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.5)  # all the others come while the first one waits
        sends(200, VIDEO)(handler)

    address = other.serve("/a.mp4", answer)
    command = [sys.executable, "-c", FETCH, str(folder), address]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    resolver = MediaResolver(policy_of(None, other), folder)
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(resolver.fetch(address))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sizes = [int(process.communicate()[0]) for process in processes]
    assert sizes == [len(VIDEO)] * 2
    assert [path.read_bytes() == VIDEO for path in paths] == [True] * 3
    assert other.requests == [("/a.mp4", None)]


def test_who_waits_for_another_download_gives_up_at_the_total_deadline(other, folder):
    address = other.serve("/a.mp4", sends_slowly(b"x" * 40, 0.02))
    patient = MediaResolver(policy_of(None, other), folder)
    thread = threading.Thread(target=patient.fetch, args=(address,))
    thread.start()
    while not other.requests:
        time.sleep(0.01)
    with pytest.raises(DownloadError, match="somebody else"):
        MediaResolver(policy_of(None, other, total_timeout=0.1), folder).fetch(address)
    thread.join()


def test_no_credential_or_signature_is_logged_or_said(label_studio, other, folder, caplog):
    label_studio.serve("/api/token/refresh", exchanges(200, {"access": ACCESS_TOKEN}))
    label_studio.serve("/data/upload/1/a.mp4", sends(200, VIDEO))
    other.serve("/ok.mp4", sends(200, VIDEO))
    policy = policy_of(label_studio, other, api_key=PERSONAL_KEY)
    resolver = MediaResolver(policy, folder)
    said = []
    with caplog.at_level(logging.DEBUG):
        resolver.fetch("/data/upload/1/a.mp4")
        resolver.fetch(f"{other.url}/ok.mp4?X-Amz-Signature=s1gnature")
        for source in (
            f"{other.url}/missing.mp4?X-Amz-Signature=s1gnature",
            "http://elsewhere.example/a.mp4?X-Amz-Signature=s1gnature",
            f"http://me:s1gnature@{other.host}/a.mp4",
            "s3://bucket/a.mp4?X-Amz-Signature=s1gnature",
        ):
            with pytest.raises(MediaError) as caught:
                resolver.fetch(source)
            said.append(str(caught.value))
    text = caplog.text + "\n".join(said)
    assert "Downloaded" in text
    for secret in (PERSONAL_KEY, ACCESS_TOKEN, "s1gnature"):
        assert secret not in text


def test_the_name_of_a_local_file_of_label_studio_stands_in_messages(label_studio, folder):
    resolver = MediaResolver(policy_of(label_studio), folder)
    with pytest.raises(MediaNotFoundError, match=r"\?d=sub/a%20b.mp4: "):
        resolver.fetch("/data/local-files/?d=sub/a%20b.mp4")


def test_requests_go_through_a_given_transport(folder):
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == f"Token {LEGACY_KEY}"
        return httpx.Response(200, content=VIDEO)

    policy = MediaPolicy(label_studio_url="http://label-studio", api_key=LEGACY_KEY)
    resolver = MediaResolver(policy, folder, transport=httpx.MockTransport(answer))
    assert resolver.fetch("/data/upload/1/a.mp4").read_bytes() == VIDEO
    resolver.close()
