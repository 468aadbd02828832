"""The address of a video in task data → a file on this machine.

================================  ==================================================================
`/data/upload/…`                  kept by Label Studio: fetched from LABEL_STUDIO_URL with the API key
`/data/local-files/?d=…`          the same
`http://…`, `https://…`           fetched; from Label Studio with the API key, from the hosts in
                                  ALLOWED_MEDIA_HOSTS without it, from no others
`/absolute/path`, `file:///…`     a file inside MEDIA_ROOTS
`relative/path`                   the same, in the first of MEDIA_ROOTS that has it
`s3://…`, `gs://…`,               in a cloud storage of the task's project: Label Studio is asked, with the
`azure-blob://…`                  API key and the task's id, and sends it or says where to get it
================================  ==================================================================

An address of Label Studio's own paths is fetched from LABEL_STUDIO_URL whatever host it names: Label
Studio writes its own idea of its name into addresses, which inside a container leads nowhere.

A downloaded file is kept by its content (`media_cache.py`) and asked for again, with its ETag or time
of change, once its last check is an hour ago; an uploaded file never changes behind its address.
"""

import base64
import re
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote

import httpx

from timelinelabels.errors import MediaError, MediaForbiddenError, MediaNotFoundError
from timelinelabels.labelstudio.download import Downloader
from timelinelabels.labelstudio.media_cache import MediaCache, name_of
from timelinelabels.labelstudio.media_policy import LABEL_STUDIO_PATHS, MediaPolicy, shown

__all__ = ["MediaPolicy", "MediaResolver"]

MAX_SOURCE_CHARACTERS = 8192
UPLOADS = "/data/upload/"
CLOUD_SCHEMES = frozenset({"s3", "gs", "azure-blob"})
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(data):", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True, kw_only=True)
class _Remote:
    """A file that must be downloaded."""

    # Where from; None where Label Studio must be asked about a task's cloud storage.
    url: httpx.URL | None
    # Of the address in the cache.
    name: str
    suffix: str
    # Another file always has another address.
    immutable: bool = False


class MediaResolver:
    """Finds and fetches media files; one for all threads of a process.

    Args:
        policy: where media may come from.
        folder: keeps downloaded files; made when the first one comes.
        transport: how requests are sent; default: over the network.
        max_bytes: downloaded files beyond this size are dropped, those not used for longest first.
    """

    def __init__(
        self,
        policy: MediaPolicy,
        folder: Path,
        *,
        transport: httpx.BaseTransport | None = None,
        max_bytes: int | None = None,
    ) -> None:
        self._policy = policy
        self._cache = MediaCache(folder, max_bytes=max_bytes)
        self._downloader = Downloader(policy, self._cache, transport)

    def locate(self, source: str) -> Path | None:
        """The file of an address, without any network.

        Args:
            source: the address as task data give it.

        Returns:
            The local file or the downloaded copy; None where `fetch` would have to download it.

        Raises:
            MediaError: the address is refused, or names a local file that is not there.
        """
        where = self._find(source)
        if isinstance(where, Path):
            return where
        record = self._cache.record(where.name)
        path = self._cache.path(record) if record else None
        return path if path is not None and path.is_file() else None

    def known_hash(self, source: str) -> str | None:
        """SHA-256 of what was downloaded from an address, though the copy may have been dropped.

        Raises:
            MediaError: the address is refused, or names a local file that is not there.
        """
        where = self._find(source)
        record = None if isinstance(where, Path) else self._cache.record(where.name)
        return record.sha256 if record else None

    def check_is_due(self, source: str) -> bool:
        """Whether the server should be asked if a downloaded file has changed; `fetch` asks.

        Raises:
            MediaError: the address is refused, or names a local file that is not there.
        """
        where = self._find(source)
        if isinstance(where, Path) or where.immutable:
            return False
        record = self._cache.record(where.name)
        return record is not None and record.checked_at < self._fresh_since(where)

    def fetch(self, source: str, *, task_id: str | None = None) -> Path:
        """The file of an address, downloaded where it is not here, and checked where that is due.

        Args:
            source: the address as task data give it.
            task_id: of a task of Label Studio with this source; cloud storages need it.

        Raises:
            MediaError: it cannot be had; the subclass says why.
        """
        where = self._find(source)
        if isinstance(where, Path):
            return where
        url = where.url or self._presigned(source, task_id)
        try:
            return self._downloader.fetch(
                url, where.name, where.suffix, fresh_since=self._fresh_since(where)
            )
        except MediaNotFoundError as error:
            if where.url is not None:
                raise
            raise MediaNotFoundError(
                f"{shown(source)}: {error}. No cloud storage of the task's project in Label Studio has "
                "this file, or the storage's credentials do not reach it"
            ) from None

    def close(self) -> None:
        """Close the connections."""
        self._downloader.close()

    def _fresh_since(self, where: _Remote) -> float:
        return 0.0 if where.immutable else time.time() - self._policy.recheck_seconds

    def _find(self, source: str) -> Path | _Remote:
        """The local file, or an admitted address."""
        _refuse_malformed(source)
        if (path := self._path_at_label_studio(source)) is not None:
            return self._remote(_url(path))
        match = _SCHEME.match(source)
        if match is None:
            return self._policy.local_file(source)
        scheme = (match.group(1) or match.group(2)).lower()
        if scheme in ("http", "https"):
            return self._remote(_url(source))
        if scheme == "file":
            host, _, path = source[match.end() :].partition("/")
            if host.lower() not in ("", "localhost"):
                raise MediaForbiddenError(f"{shown(source)} names a file of another machine")
            path = "/" + unquote(path)
            _refuse_malformed(path)
            return self._policy.local_file(path)
        if scheme in CLOUD_SCHEMES:
            if self._policy.label_studio_url is None or self._policy.api_key is None:
                raise MediaForbiddenError(
                    f"{shown(source)} is in a cloud storage, which Label Studio has the credentials "
                    "of: set LABEL_STUDIO_URL to its address and LABEL_STUDIO_API_KEY to a token of it"
                )
            return _Remote(url=None, name=name_of(source), suffix=_suffix(source))
        raise MediaForbiddenError(
            f"{shown(source)}: {scheme}: addresses are not supported; give tasks an http(s) address "
            "and add its host to ALLOWED_MEDIA_HOSTS, or make the files available under MEDIA_ROOTS "
            "and give their paths"
        )

    def _presigned(self, source: str, task_id: str | None) -> httpx.URL:
        """Where Label Studio gives out, or says where to find, a file of a task's cloud storage."""
        if task_id is None or not task_id.isdecimal():
            raise MediaError(
                f"{shown(source)} is in a cloud storage: it can be had for a task of Label Studio "
                "only, and this is none"
            )
        encoded = base64.urlsafe_b64encode(source.encode()).decode("ascii")
        base = (self._policy.label_studio_url or "").rstrip("/")
        return _url(f"{base}/tasks/{task_id}/presign/").copy_with(params={"fileuri": encoded})

    def _remote(self, url: httpx.URL) -> _Remote:
        """An http(s) address: its query belongs to it, no key does."""
        own = self._policy.admit(url)
        name = url.path
        if name.endswith("/data/local-files/"):
            name = parse_qs(url.query.decode("ascii")).get("d", [name])[0]
        immutable = own and UPLOADS in url.path
        return _Remote(url=url, name=name_of(str(url)), suffix=_suffix(name), immutable=immutable)

    def _path_at_label_studio(self, source: str) -> str | None:
        """The absolute address of a path that only Label Studio understands, else None."""
        base = (self._policy.label_studio_url or "").rstrip("/")
        prefix = httpx.URL(base).path.rstrip("/")
        path = source
        if re.match(r"https?://", source, re.IGNORECASE):
            url = _url(source)
            if not base or url.userinfo or self._policy.hosts.lists(url):
                return None
            path = url.raw_path.decode("ascii")
        if not path.startswith(LABEL_STUDIO_PATHS):
            # Label Studio may live below a path of its server, and then writes it into addresses.
            path = path.removeprefix(prefix)
            if not prefix or not path.startswith(LABEL_STUDIO_PATHS):
                return None
        if not base:
            raise MediaForbiddenError(
                f"{shown(source)} is kept by Label Studio: set LABEL_STUDIO_URL to its address and "
                "LABEL_STUDIO_API_KEY to a token of it"
            )
        return base + path


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name.partition("?")[0]).suffix
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def _url(text: str) -> httpx.URL:
    try:
        return httpx.URL(text).copy_with(fragment=None)
    except httpx.InvalidURL as error:
        raise MediaError(f"{shown(text)} is not an address: {error}") from None


def _refuse_malformed(source: str) -> None:
    """Refuse what no file and no server can be called by."""
    if not source.strip():
        raise MediaError("The address of the video is empty")
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise MediaError(
            f"{shown(source)}: {len(source)} characters; at most {MAX_SOURCE_CHARACTERS} are accepted"
        )
    # Control characters and lone surrogates: a NUL ends a path early, a line break splits a header.
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000 for char in source):
        raise MediaError(f"{shown(source)} has characters that no address has")
