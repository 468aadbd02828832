"""One file from an HTTP server to disk: whole or not at all.

httpx's transport is used without httpx's client on purpose: the client follows redirects with what
it thinks safe, where here each hop is put to the policy, and it logs whole addresses, where the query
of a signed one is a secret.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from timelinelabels.errors import (
    DownloadError,
    LabelStudioError,
    MediaError,
    MediaForbiddenError,
    MediaNotFoundError,
    MediaTooLargeError,
)
from timelinelabels.labelstudio.access import ACCESS_HELP, LabelStudioAccess
from timelinelabels.labelstudio.media_policy import MediaPolicy, shown

logger = logging.getLogger(__name__)

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A page or a message in place of a video: mostly a login page or an error with status 200.
_NOT_MEDIA = frozenset({"text/html", "application/xhtml+xml", "application/json"})


class Downloader:
    """Downloads as a policy allows; one for all threads of a process.

    Args:
        policy: which addresses are admitted, the limits and the time-outs.
        transport: how requests are sent; default: over the network, proxies are not used.
    """

    def __init__(self, policy: MediaPolicy, transport: httpx.BaseTransport | None = None) -> None:
        self._policy = policy
        self._given_transport = transport

    def download(self, url: httpx.URL, target: Path) -> None:
        """Make `target` the file behind an address, unless it is there.

        One process or thread downloads while the others wait for it; `target` appears complete and on
        disk, or not at all.

        Raises:
            MediaForbiddenError: the address, or one that it redirects to, is not admitted.
            MediaNotFoundError: the server has no such file.
            MediaTooLargeError: it is larger than the policy's limit.
            DownloadError: the server does not deliver it, or not in time.
            MediaError: it cannot be written to disk.
        """
        lock = FileLock(target.with_name(target.name + ".lock"))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with lock.acquire(timeout=self._policy.total_timeout):
                if not target.exists():
                    self._download_alone(url, target)
        except Timeout:
            raise DownloadError(
                f"{shown(url)}: somebody else has been downloading it for "
                f"{self._policy.total_timeout:g} s"
            ) from None
        except OSError as error:
            raise MediaError(
                f"{shown(url)} cannot be kept in {target.parent}: {error.strerror or error}"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _download_alone(self, url: httpx.URL, target: Path) -> None:
        started = time.monotonic()
        partial = target.with_name(target.name + ".partial")
        try:
            with self._opened(url) as response:
                size = self._save(response, url, partial, started + self._policy.total_timeout)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        _sync(target.parent)
        logger.info(
            "Downloaded %s: %d bytes in %.1f s", shown(url), size, time.monotonic() - started
        )

    @contextmanager
    def _opened(self, url: httpx.URL) -> Iterator[httpx.Response]:
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
            request = httpx.Request("GET", hop, headers={"Accept-Encoding": "identity"})
            if with_key and self._access is not None:
                request.headers["Authorization"] = self._authorization(self._access)
            response = self._send(request)
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
        if status != httpx.codes.OK:
            raise DownloadError(f"{shown(url)}: the server answered HTTP {status}")
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind in _NOT_MEDIA:
            hint = f"; if it is a login page, the token is wrong. {ACCESS_HELP}" if with_key else ""
            raise DownloadError(f"{shown(url)}: the server sent {kind} in place of a video{hint}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise DownloadError(f"{shown(url)}: the server sent a compressed answer unasked")

    def _save(
        self, response: httpx.Response, url: httpx.URL, partial: Path, deadline: float
    ) -> int:
        """Write the body to `partial` and to disk.

        Returns:
            Its size in bytes.
        """
        length = response.headers.get("Content-Length")
        announced = int(length) if length is not None and length.isdecimal() else None
        too_large = MediaTooLargeError(
            f"{shown(url)} is larger than {self._policy.max_bytes / 1024**3:g} GiB (MAX_MEDIA_GB)"
        )
        if announced is not None and announced > self._policy.max_bytes:
            raise too_large
        size = 0
        with partial.open("wb") as file:
            for chunk in _body(response, url):
                size += len(chunk)
                if size > self._policy.max_bytes:
                    raise too_large
                if time.monotonic() > deadline:
                    raise DownloadError(
                        f"{shown(url)}: not complete after {self._policy.total_timeout:g} s"
                    )
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if size == 0 or (announced is not None and size != announced):
            raise DownloadError(f"{shown(url)}: {size} bytes came of {announced or 'a video'}")
        return size

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the answer's body is still to be read."""
        policy = self._policy
        request.extensions["timeout"] = {
            "connect": policy.connect_timeout,
            "read": policy.read_timeout,
            "write": policy.read_timeout,
            "pool": policy.total_timeout,
        }
        with _failures_of(request.url):
            return self._transport.handle_request(request)

    def _authorization(self, access: LabelStudioAccess) -> str:
        try:
            return access.authorization()
        except LabelStudioError as error:
            raise DownloadError(str(error)) from None

    def _exchange(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read the answer."""
        response = self._send(request)
        try:
            with _failures_of(request.url):
                response.read()
        finally:
            response.close()
        return response

    @cached_property
    def _transport(self) -> httpx.BaseTransport:
        return self._given_transport or httpx.HTTPTransport()

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


def _sync(folder: Path) -> None:
    """Bring a rename to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
