"""Media downloads: continued, checked again, bounded, from cloud storages, to checked addresses."""

import base64
import json
import os
import socket
import time
from urllib.parse import parse_qs

import pytest
from test_media import LEGACY_KEY, VIDEO, MediaServer, left_in, policy_of, sends

from timelinelabels.errors import (
    DownloadError,
    MediaError,
    MediaForbiddenError,
    MediaNotFoundError,
    MediaTooLargeError,
    SettingsError,
)
from timelinelabels.labelstudio import addresses, media_cache
from timelinelabels.labelstudio.addresses import AllowedHosts, _address, _is_public
from timelinelabels.labelstudio.media import MediaPolicy, MediaResolver


@pytest.fixture
def label_studio():
    with MediaServer().running() as server:
        yield server


@pytest.fixture
def other():
    with MediaServer().running() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "media"


class File:
    """A file as servers with ranges and validators send it; `breaks` are the bytes that it sends at
    most, one number an answer."""

    def __init__(self, content=VIDEO, etag='"1"', breaks=(), piece=None, length=True):
        self.content, self.etag, self.breaks = content, etag, list(breaks)
        self.piece, self.length = piece, length
        self.ranges, self.conditions = [], []

    def __call__(self, handler):
        asked = handler.headers.get("Range")
        self.ranges.append(asked)
        condition = handler.headers.get("If-None-Match")
        self.conditions.append(condition)
        if condition and condition == self.etag:
            handler.send_response(304)
            handler.end_headers()
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        end = len(self.content)
        if self.piece and start:
            end = min(end, start + self.piece)
        body = self.content[start:end]
        handler.send_response(206 if asked else 200)
        if asked:
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(self.content)}")
        if self.length:
            handler.send_header("Content-Length", str(len(body)))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()
        handler.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)


# Continued where it broke off


def test_a_download_that_breaks_is_continued_where_it_was(other, folder):
    file = File(breaks=[1000, 2000])
    address = other.serve("/a.mp4", file)
    assert MediaResolver(policy_of(None, other), folder).fetch(address).read_bytes() == VIDEO
    assert file.ranges == ["bytes=0-", "bytes=1000-", "bytes=3000-"]


def test_a_server_that_gives_pieces_is_asked_for_all_of_them(other, folder):
    # So Label Studio passes files of a cloud storage on: 20 seconds, then 8 MB at a time.
    file = File(breaks=[1000], piece=100_000)
    address = other.serve("/a.mp4", file)
    assert MediaResolver(policy_of(None, other), folder).fetch(address).read_bytes() == VIDEO
    assert len(file.ranges) == 4


def test_a_file_without_announced_length_that_breaks_is_never_taken_for_whole(other, folder):
    # So Label Studio sends files of a local storage: the length stands in the answer to a range only.
    file = File(etag='W/"1"', breaks=[1000], length=False)
    address = other.serve("/a.mp4", file)
    assert MediaResolver(policy_of(None, other), folder).fetch(address).read_bytes() == VIDEO
    assert file.ranges == ["bytes=0-", "bytes=1000-"]


def test_a_later_call_and_another_process_continue_what_an_earlier_one_left(other, folder):
    file = File(breaks=[1000, 0, 0, 0])
    address = other.serve("/a.mp4", file)
    with pytest.raises(DownloadError):
        MediaResolver(policy_of(None, other), folder).fetch(address)
    assert MediaResolver(policy_of(None, other), folder).fetch(address).read_bytes() == VIDEO
    assert file.ranges[-1] == "bytes=1000-"
    assert len(left_in(folder)) == 1


def test_a_file_that_changes_meanwhile_is_begun_anew(other, folder):
    file = File(breaks=[1000, 0, 0, 0])
    address = other.serve("/a.mp4", file)
    resolver = MediaResolver(policy_of(None, other), folder)
    with pytest.raises(DownloadError):
        resolver.fetch(address)
    file.content, file.etag = VIDEO[::-1], '"2"'
    assert resolver.fetch(address).read_bytes() == VIDEO[::-1]
    assert file.ranges[-2:] == ["bytes=1000-", "bytes=0-"]


def test_without_a_validator_nothing_is_continued(other, folder):
    file = File(etag=None, breaks=[1000])
    address = other.serve("/a.mp4", file)
    resolver = MediaResolver(policy_of(None, other), folder)
    with pytest.raises(DownloadError):
        resolver.fetch(address)
    assert left_in(folder) == []
    assert resolver.fetch(address).read_bytes() == VIDEO
    assert file.ranges == ["bytes=0-", "bytes=0-"]


def test_a_server_that_sends_another_part_is_an_error(other, folder):
    wrong = sends(206, b"x" * 10, Content_Range="bytes 5-14/15", ETag='"1"')
    address = other.serve("/a.mp4", wrong)
    with pytest.raises(DownloadError, match="another part"):
        MediaResolver(policy_of(None, other), folder).fetch(address)


def test_a_range_past_the_end_begins_anew(other, folder):
    file = File(breaks=[1000, 0, 0, 0])
    address = other.serve("/a.mp4", file)
    resolver = MediaResolver(policy_of(None, other), folder)
    with pytest.raises(DownloadError):
        resolver.fetch(address)

    def shorter(handler):
        if handler.headers["Range"] == "bytes=0-":
            sends(200, VIDEO[:500])(handler)
        else:
            sends(416)(handler)

    other.serve("/a.mp4", shorter)
    assert resolver.fetch(address).read_bytes() == VIDEO[:500]


def test_the_limit_counts_the_whole_file_and_not_the_part(other, folder):
    address = other.serve("/a.mp4", File(breaks=[1000]))
    with pytest.raises(MediaTooLargeError):
        MediaResolver(policy_of(None, other, max_bytes=2000), folder).fetch(address)
    assert left_in(folder) == []


# Asked again


def test_a_copy_is_checked_when_it_is_due_and_a_changed_file_is_downloaded_again(other, folder):
    file = File()
    address = other.serve("/a.mp4", file)
    resolver = MediaResolver(policy_of(None, other), folder)
    first = resolver.fetch(address)
    assert not resolver.check_is_due(address)
    assert resolver.fetch(address) == first
    assert len(file.ranges) == 1
    always = MediaResolver(policy_of(None, other, recheck_seconds=0.0), folder)
    time.sleep(0.01)
    assert always.check_is_due(address)
    assert always.fetch(address) == first
    assert file.conditions == [None, '"1"']
    old = always.known_hash(address)
    file.content, file.etag = VIDEO[::-1], '"2"'
    assert always.fetch(address).read_bytes() == VIDEO[::-1]
    assert always.known_hash(address) != old


def test_a_server_that_is_away_when_a_check_is_due_does_not_cost_the_copy(other, folder, caplog):
    address = other.serve("/a.mp4", File())
    policy = policy_of(None, other, recheck_seconds=1000.0)
    resolver = MediaResolver(policy, folder)
    first = resolver.fetch(address)
    (record,) = (folder / "addresses").iterdir()
    record.write_text(json.dumps({**json.loads(record.read_text()), "checked_at": 0}))
    assert resolver.check_is_due(address)
    other.serve("/a.mp4", sends(503))
    assert resolver.fetch(address) == first
    assert "the copy that is here is used" in caplog.text
    assert not resolver.check_is_due(address)


def test_an_upload_is_never_asked_for_again(label_studio, folder):
    file = File()
    label_studio.serve("/data/upload/1/a.mp4", file)
    resolver = MediaResolver(policy_of(label_studio, recheck_seconds=0.0), folder)
    resolver.fetch("/data/upload/1/a.mp4")
    time.sleep(0.01)
    assert not resolver.check_is_due("/data/upload/1/a.mp4")
    resolver.fetch("/data/upload/1/a.mp4")
    assert len(file.ranges) == 1


# Kept by content, and bounded


def test_addresses_with_the_same_content_share_a_file(other, folder):
    resolver = MediaResolver(policy_of(None, other), folder)
    paths = {resolver.fetch(other.serve(f"/{name}.mp4", File())) for name in "ab"}
    assert len(paths) == 1
    assert left_in(folder) == [next(iter(paths)).name]


def test_the_cache_drops_what_was_not_used_for_longest_and_remembers_its_hash(other, folder):
    resolver = MediaResolver(policy_of(None, other), folder, max_bytes=2 * len(VIDEO))
    sources = [other.serve(f"/{n}.mp4", File(VIDEO[:-1] + bytes([n]))) for n in range(3)]
    long_ago = time.time() - 2 * media_cache.IN_USE_SECONDS
    for age, source in enumerate(sources[:2]):
        os.utime(resolver.fetch(source), (long_ago + age, long_ago + age))
    resolver.fetch(sources[2])
    assert resolver.locate(sources[0]) is None
    assert resolver.known_hash(sources[0]) is not None
    assert resolver.locate(sources[1]) is not None
    assert resolver.fetch(sources[0]).read_bytes() == VIDEO[:-1] + b"\0"


def test_what_was_used_just_now_is_not_dropped(other, folder):
    resolver = MediaResolver(policy_of(None, other), folder, max_bytes=1)
    sources = [other.serve(f"/{n}.mp4", File(VIDEO[:-1] + bytes([n]))) for n in range(2)]
    for source in sources:
        resolver.fetch(source)
    assert all(resolver.locate(source) for source in sources)


# Cloud storages


@pytest.mark.parametrize("source", ["s3://b/dir/a b+ü.mp4", "gs://b/a.mp4", "azure-blob://c/a.mp4"])
def test_label_studio_is_asked_for_a_file_of_a_cloud_storage(label_studio, other, folder, source):
    def presign(handler):
        query = parse_qs(handler.path.partition("?")[2])
        assert base64.urlsafe_b64decode(query["fileuri"][0]).decode() == source
        sends(303, Location=f"{other.url}/bucket/a.mp4?X-Amz-Signature=s")(handler)

    label_studio.serve("/tasks/7/presign/", presign)
    other.serve("/bucket/a.mp4", File())
    resolver = MediaResolver(policy_of(label_studio, other), folder)
    assert resolver.locate(source) is None
    path = resolver.fetch(source, task_id="7")
    assert path.read_bytes() == VIDEO
    assert path.suffix == ".mp4"
    assert resolver.locate(source) == path
    assert label_studio.requests[0][1] == f"Token {LEGACY_KEY}"
    assert other.requests == [("/bucket/a.mp4?X-Amz-Signature=s", None)]


def test_a_file_that_no_cloud_storage_has_is_said_to_be_missing(label_studio, folder):
    resolver = MediaResolver(policy_of(label_studio), folder)
    with pytest.raises(MediaNotFoundError, match="No cloud storage"):
        resolver.fetch("s3://b/a.mp4", task_id="7")


@pytest.mark.parametrize("task_id", [None, "", "#1", "local"])
def test_a_file_of_a_cloud_storage_needs_a_task_of_label_studio(label_studio, folder, task_id):
    resolver = MediaResolver(policy_of(label_studio), folder)
    with pytest.raises(MediaError, match="for a task of Label Studio only"):
        resolver.fetch("s3://b/a.mp4", task_id=task_id)


def test_the_bucket_s_host_must_be_allowed(label_studio, other, folder):
    label_studio.serve("/tasks/7/presign/", sends(303, Location=f"{other.url}/a.mp4?sig=s"))
    resolver = MediaResolver(policy_of(label_studio), folder)
    with pytest.raises(MediaForbiddenError, match=f"{other.host}.*ALLOWED_MEDIA_HOSTS"):
        resolver.fetch("s3://b/a.mp4", task_id="7")
    assert other.requests == []


# To which address a name leads


def resolves_to(monkeypatch, *found):
    real = socket.getaddrinfo

    def resolve(host, port, *args, **options):
        if host != "cdn.example":
            return real(host, port, *args, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (item, port)) for item in found]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolve)


def test_a_name_that_leads_to_a_private_address_is_refused_unless_that_is_listed(
    other, folder, monkeypatch
):
    resolves_to(monkeypatch, "127.0.0.1")
    other.serve("/a.mp4", sends(200, VIDEO))
    port = other.host.partition(":")[2]
    address = f"http://cdn.example:{port}/a.mp4"
    policy = MediaPolicy(allowed_hosts=frozenset({"cdn.example"}))
    with pytest.raises(MediaForbiddenError, match=r"leads to 127\.0\.0\.1: private"):
        MediaResolver(policy, folder).fetch(address)
    assert other.requests == []
    for listed in ("127.0.0.1", "127.0.0.0/8"):
        policy = MediaPolicy(allowed_hosts=frozenset({"cdn.example", listed}))
        assert MediaResolver(policy, folder / listed.replace("/", "-")).fetch(address).is_file()
    assert len(other.requests) == 2


def test_a_redirect_to_a_name_that_leads_home_is_refused(other, folder, monkeypatch):
    port = other.host.partition(":")[2]
    address = other.serve("/a.mp4", sends(302, Location=f"http://cdn.example:{port}/secret"))
    resolves_to(monkeypatch, "169.254.169.254")
    policy = policy_of(None, other, allowed_hosts=frozenset({other.host, "cdn.example"}))
    with pytest.raises(MediaForbiddenError, match=r"169\.254\.169\.254"):
        MediaResolver(policy, folder).fetch(address)
    assert [path for path, _ in other.requests] == ["/a.mp4"]


def test_the_server_is_asked_by_name_at_the_address_that_was_checked(other, folder, monkeypatch):
    hosts = []

    def answer(handler):
        hosts.append(handler.headers["Host"])
        sends(200, VIDEO)(handler)

    other.serve("/a.mp4", answer)
    port = other.host.partition(":")[2]
    resolves_to(monkeypatch, "10.255.255.1", "127.0.0.1")
    policy = MediaPolicy(allowed_hosts=frozenset({"cdn.example", "127.0.0.1"}))
    MediaResolver(policy, folder).fetch(f"http://cdn.example:{port}/a.mp4")
    assert hosts == [f"cdn.example:{port}"]


def test_label_studio_itself_may_be_anywhere(label_studio, folder):
    port = label_studio.host.partition(":")[2]
    label_studio.serve("/data/upload/1/a.mp4", sends(200, VIDEO))
    policy = policy_of(label_studio, label_studio_url=f"http://localhost:{port}")
    assert MediaResolver(policy, folder).fetch("/data/upload/1/a.mp4").read_bytes() == VIDEO


@pytest.mark.parametrize(
    "text, public",
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        *((private, False) for private in ("127.0.0.1", "10.1.2.3", "172.17.0.2", "192.168.1.1")),
        *((private, False) for private in ("169.254.169.254", "100.64.0.1", "0.0.0.0", "::1")),
        *((private, False) for private in ("fe80::1", "fd00::1", "224.0.0.1", "240.0.0.1")),
        *((private, False) for private in ("::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a00:1")),
    ],
)
def test_which_addresses_are_of_the_internet(text, public):
    assert _is_public(_address(text)) is public


def test_patterns_allow_what_precedes_a_domain(folder):
    policy = MediaPolicy(allowed_hosts=frozenset({"*.example.org"}))
    resolver = MediaResolver(policy, folder)
    assert resolver.locate("https://bucket.s3.example.org/a.mp4") is None
    for host in ("example.org", "evilexample.org", "example.org.evil.com"):
        with pytest.raises(MediaForbiddenError):
            resolver.locate(f"https://{host}/a.mp4")


@pytest.mark.parametrize("entry", ["10.0.0.0/99", "a/b", "ex*mple.org", "*"])
def test_an_entry_that_cannot_be_understood_is_refused(entry):
    with pytest.raises(SettingsError, match="ALLOWED_MEDIA_HOSTS"):
        AllowedHosts.parse([entry])
    with pytest.raises(SettingsError, match="ALLOWED_MEDIA_HOSTS"):
        MediaPolicy(allowed_hosts=frozenset({entry}))
