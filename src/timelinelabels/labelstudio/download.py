"""One file from an HTTP server to disk: whole or not at all, continued where it broke off.

httpx's transport is used without httpx's client on purpose: the client follows redirects with what
it thinks safe, where here each hop is put to the policy, and it logs whole addresses, where the query
of a signed one is a secret.

Every download asks for `Range: bytes=0-`: Label Studio tells a file's length in the answer to a range
only, and without it a connection that breaks looks like the end of the file. Where the server tells
states of the file apart (ETag, Last-Modified) what came stays, and the next attempt asks for the rest.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import httpx
from filelock import Timeout

from timelinelabels.errors import (
    DownloadError,
    LabelStudioError,
    MediaError,
    MediaForbiddenError,
    MediaNotFoundError,
    MediaTooLargeError,
)
from timelinelabels.labelstudio.access import ACCESS_HELP, LabelStudioAccess
from timelinelabels.labelstudio.media_cache import MediaCache, MediaRecord, PartialFile, Validators
from timelinelabels.labelstudio.media_policy import MediaPolicy, shown

logger = logging.getLogger(__name__)

MAX_REDIRECTS = 5
ATTEMPTS_WITHOUT_PROGRESS = 3
# After a check that failed because the server was away.
CHECK_AGAIN_SECONDS = 300.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOT_MODIFIED, _PARTIAL, _NO_SUCH_RANGE = 304, 206, 416
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
# A page or a message in place of a video: mostly a login page or an error with status 200.
_NOT_MEDIA = frozenset({"text/html", "application/xhtml+xml", "application/json"})


class Downloader:
    """Downloads as a policy allows; one for all threads of a process.

    Args:
        policy: which addresses are admitted, the limits and the time-outs.
        cache: where files are kept.
        transport: how requests are sent; default: over the network, proxies are not used.
    """

    def __init__(
        self,
        policy: MediaPolicy,
        cache: MediaCache,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._policy = policy
        self._cache = cache
        self._given_transport = transport
        # One for each host: two hosts behind one address must not share a connection, for the
        # certificate of one says nothing of the other.
        self._transports: dict[str, httpx.BaseTransport] = {}
        self._lock = threading.Lock()

    def fetch(self, url: httpx.URL, name: str, suffix: str, *, fresh_since: float) -> Path:
        """The file behind an address, downloaded or checked where that is due.

        One process or thread does so while the others wait for it; the file appears complete and on
        disk, or not at all.

        Args:
            url: to download from.
            name: of the address in the cache.
            suffix: of the file's name.
            fresh_since: a copy that was checked since then (epoch seconds) is not asked for again.

        Raises:
            MediaForbiddenError: the address, or one that it redirects to, is not admitted.
            MediaNotFoundError: the server has no such file.
            MediaTooLargeError: it is larger than the policy's limit.
            DownloadError: the server does not deliver it, or not in time.
            MediaError: it cannot be written to disk.
        """
        cache, policy = self._cache, self._policy
        try:
            cache.folder.mkdir(parents=True, exist_ok=True)
            with cache.lock(name).acquire(timeout=policy.total_timeout):
                record = cache.record(name)
                path = cache.path(record) if record else None
                if record is not None and path is not None and path.is_file():
                    os.utime(path)  # it is in use
                    if record.checked_at >= fresh_since or self._unchanged(url, name, record):
                        return path
                return self._download(url, name, suffix)
        except Timeout:
            raise DownloadError(
                f"{shown(url)}: somebody else has been downloading it for "
                f"{policy.total_timeout:g} s"
            ) from None
        except OSError as error:
            raise MediaError(
                f"{shown(url)} cannot be kept in {cache.folder}: {error.strerror or error}"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()
            self._transports.clear()
        if self._given_transport is not None:
            self._given_transport.close()

    def _unchanged(self, url: httpx.URL, name: str, record: MediaRecord) -> bool:
        """Whether the server still has what is here; what it cannot say counts as unchanged."""
        known = record.validators
        headers = {}
        if known.etag is not None:
            headers["If-None-Match"] = known.etag
        if known.last_modified is not None:
            headers["If-Modified-Since"] = known.last_modified
        now = time.time()
        try:
            with self._opened(url, headers) as response:
                unchanged = response.status_code == _NOT_MODIFIED or (
                    Validators.of(response).agrees(known)
                    if known
                    else _announced(response) in (None, record.size)
                )
        except (MediaForbiddenError, MediaNotFoundError):
            raise
        except DownloadError as error:
            logger.warning("%s; the copy that is here is used", error)
            unchanged = True
            now += CHECK_AGAIN_SECONDS - self._policy.recheck_seconds
        if unchanged:
            self._cache.confirm(name, record, checked_at=now)
        else:
            logger.info("%s has changed: it is downloaded again", shown(url))
        return unchanged

    def _download(self, url: httpx.URL, name: str, suffix: str) -> Path:
        started = time.monotonic()
        partial = self._cache.partial(name)
        try:
            self._complete(url, partial, started + self._policy.total_timeout)
            size = partial.size
            path = self._cache.keep(name, suffix, partial)
        except BaseException as error:
            if isinstance(error, MediaTooLargeError) or not partial.resumable:
                partial.discard()
            raise
        logger.info(
            "Downloaded %s: %d bytes in %.1f s", shown(url), size, time.monotonic() - started
        )
        return path

    def _complete(self, url: httpx.URL, partial: PartialFile, deadline: float) -> None:
        """Ask for what is missing until nothing is."""
        stalled = 0
        while True:
            before = partial.size if partial.resumable else 0
            try:
                with self._opened(url, {"Range": f"bytes={before}-"}) as response:
                    if not self._begins(response, url, partial, before):
                        # What is here is of another state of the file.
                        partial.discard()
                        continue
                    if self._save(response, url, partial, deadline):
                        return
                    problem = DownloadError(
                        f"{shown(url)}: {partial.size} bytes came of {partial.total or 'a video'}"
                    )
            except DownloadError as error:
                if time.monotonic() > deadline:
                    raise
                problem = error
            stalled = 0 if partial.size > before else stalled + 1
            if not partial.resumable or stalled >= ATTEMPTS_WITHOUT_PROGRESS:
                raise problem
            logger.info("%s: continuing after %d bytes", shown(url), partial.size)

    def _begins(
        self, response: httpx.Response, url: httpx.URL, partial: PartialFile, before: int
    ) -> bool:
        """Make `partial` ready for an answer's body; False where it must begin anew."""
        validators = Validators.of(response)
        if response.status_code == _NO_SUCH_RANGE:
            if before == 0:
                raise DownloadError(f"{shown(url)}: 0 bytes came of a video: the file is empty")
            return False
        start, total = 0, _announced(response)
        if response.status_code == _PARTIAL:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None or int(match[1]) != before:
                raise DownloadError(
                    f"{shown(url)}: the server answered HTTP 206 with another part than was asked for"
                )
            start, total = before, None if match[3] == "*" else int(match[3])
        if total is not None and total > self._policy.max_bytes:
            raise self._too_large(url)
        if start == 0:
            partial.begin(validators, total)
            return True
        return total == partial.total and validators.agrees(partial.validators)

    @contextmanager
    def _opened(self, url: httpx.URL, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The answer that has the file, after its redirects, each put to the policy."""
        hop = url
        for _ in range(MAX_REDIRECTS + 1):
            try:
                with_key = self._policy.admit(hop)
            except MediaForbiddenError as error:
                if hop is url:
                    raise
                raise MediaForbiddenError(f"{shown(url)} redirects elsewhere: {error}") from None
            # Compressed, the announced length would not be that of the file.
            asked = {"Accept-Encoding": "identity", **headers}
            request = httpx.Request("GET", hop, headers=asked)
            if with_key and self._access is not None:
                request.headers["Authorization"] = self._authorization(self._access)
            response = self._send(request, own=self._policy.is_label_studio(hop))
            try:
                if response.status_code not in _REDIRECTS:
                    self._check(response, hop, with_key=with_key)
                    yield response
                    return
                hop = _redirected(hop, response)
            finally:
                response.close()
        raise DownloadError(f"{shown(url)}: more than {MAX_REDIRECTS} redirects")

    def _check(self, response: httpx.Response, url: httpx.URL, *, with_key: bool) -> None:
        """Refuse an answer that is not a media file."""
        status = response.status_code
        if status in (401, 403):
            if with_key and self._access is not None:
                self._access.forget()
                raise DownloadError(
                    f"{shown(url)}: Label Studio refuses (HTTP {status}). {ACCESS_HELP}"
                )
            raise DownloadError(
                f"{shown(url)}: the server refuses (HTTP {status}); a signed address may have expired"
            )
        if status in (404, 410):
            hint = (
                "; it was deleted, lies outside Label Studio's storages, or the user of the token in "
                "LABEL_STUDIO_API_KEY (personal access or legacy) may not see it"
            )
            raise MediaNotFoundError(
                f"{shown(url)}: the server has no such file (HTTP {status}){hint if with_key else ''}"
            )
        if status in (_NOT_MODIFIED, _NO_SUCH_RANGE):
            return
        if status not in (httpx.codes.OK, _PARTIAL):
            raise DownloadError(f"{shown(url)}: the server answered HTTP {status}")
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind in _NOT_MEDIA:
            hint = f"; if it is a login page, the token is wrong. {ACCESS_HELP}" if with_key else ""
            raise DownloadError(f"{shown(url)}: the server sent {kind} in place of a video{hint}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise DownloadError(f"{shown(url)}: the server sent a compressed answer unasked")

    def _save(
        self, response: httpx.Response, url: httpx.URL, partial: PartialFile, deadline: float
    ) -> bool:
        """Append the body to `partial` and bring it to disk; whether the file is complete."""
        size = partial.size
        with partial.path.open("ab") as file:
            for chunk in _body(response, url):
                size += len(chunk)
                if size > self._policy.max_bytes:
                    raise self._too_large(url)
                if time.monotonic() > deadline:
                    raise DownloadError(
                        f"{shown(url)}: not complete after {self._policy.total_timeout:g} s"
                    )
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if size == 0 or (partial.total is not None and size > partial.total):
            raise DownloadError(f"{shown(url)}: {size} bytes came of {partial.total or 'a video'}")
        return partial.total is None or size == partial.total

    def _too_large(self, url: httpx.URL) -> MediaTooLargeError:
        limit = self._policy.max_bytes / 1024**3
        return MediaTooLargeError(f"{shown(url)} is larger than {limit:g} GiB (MAX_MEDIA_GB)")

    def _send(self, request: httpx.Request, *, own: bool) -> httpx.Response:
        """Send one request; the answer's body is still to be read.

        Args:
            request: to send.
            own: to Label Studio, which may be anywhere; elsewhere the address is checked first.
        """
        policy = self._policy
        request.extensions["timeout"] = {
            "connect": policy.connect_timeout,
            "read": policy.read_timeout,
            "write": policy.read_timeout,
            "pool": policy.total_timeout,
        }
        url = request.url
        if own or self._given_transport is not None:
            with _failures_of(url):
                return self._transport(url.host).handle_request(request)
        addresses = policy.hosts.addresses(url)
        # The name stays in the Host header and in the TLS handshake; the address is what was checked.
        request.extensions["sni_hostname"] = url.raw_host.decode("ascii")
        for address in addresses[:-1]:
            request.url = url.copy_with(host=address)
            try:
                return self._transport(url.host).handle_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        request.url = url.copy_with(host=addresses[-1])
        with _failures_of(url):
            return self._transport(url.host).handle_request(request)

    def _authorization(self, access: LabelStudioAccess) -> str:
        try:
            return access.authorization()
        except LabelStudioError as error:
            raise DownloadError(str(error)) from None

    def _exchange(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read the answer."""
        response = self._send(request, own=True)
        try:
            with _failures_of(request.url):
                response.read()
        finally:
            response.close()
        return response

    def _transport(self, host: str) -> httpx.BaseTransport:
        if self._given_transport is not None:
            return self._given_transport
        with self._lock:
            return self._transports.setdefault(host, httpx.HTTPTransport())

    @cached_property
    def _access(self) -> LabelStudioAccess | None:
        policy = self._policy
        if policy.label_studio_url is None or policy.api_key is None:
            return None
        return LabelStudioAccess(policy.label_studio_url, policy.api_key, self._exchange)


def _redirected(url: httpx.URL, response: httpx.Response) -> httpx.URL:
    """Where an answer redirects to."""
    try:
        return url.join(response.headers["Location"]).copy_with(fragment=None)
    except (KeyError, httpx.InvalidURL):
        raise DownloadError(f"{shown(url)} redirects to no address") from None


def _announced(response: httpx.Response) -> int | None:
    """The length of the body as the server says it."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _body(response: httpx.Response, url: httpx.URL) -> Iterator[bytes]:
    with _failures_of(url):
        yield from response.iter_bytes()


@contextmanager
def _failures_of(url: httpx.URL) -> Iterator[None]:
    """Turn httpx's errors into ours."""
    try:
        yield
    except httpx.TimeoutException as error:
        kind = "connection" if isinstance(error, httpx.ConnectTimeout) else "answer"
        raise DownloadError(f"{shown(url)}: no {kind} in time ({type(error).__name__})") from None
    except httpx.HTTPError as error:
        raise DownloadError(f"{shown(url)}: {error or type(error).__name__}") from None
