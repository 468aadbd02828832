"""The address of a video in task data → a file on this machine.

================================  ==================================================================
`/data/upload/…`                  kept by Label Studio: fetched from LABEL_STUDIO_URL with the API key
`/data/local-files/?d=…`          the same
`http://…`, `https://…`           fetched; from Label Studio with the API key, from the hosts in
                                  ALLOWED_MEDIA_HOSTS without it, from no others
`/absolute/path`, `file:///…`     a file inside MEDIA_ROOTS
`relative/path`                   the same, in the first of MEDIA_ROOTS that has it
`s3://…`, `gs://…`, …             not supported yet
================================  ==================================================================

A downloaded file is kept under a name made from its whole address. It is not asked for again: a file
that changes behind the same address needs another address, or the copy deleted.
"""

import hashlib
import re
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote

import httpx

from timelinelabels.errors import MediaError, MediaForbiddenError
from timelinelabels.labelstudio.download import Downloader
from timelinelabels.labelstudio.media_policy import LABEL_STUDIO_PATHS, MediaPolicy, shown

__all__ = ["MediaPolicy", "MediaResolver"]

MAX_SOURCE_CHARACTERS = 8192
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(data):", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


class MediaResolver:
    """Finds and fetches media files; one for all threads of a process.

    Args:
        policy: where media may come from.
        folder: keeps downloaded files; made when the first one comes.
        transport: how requests are sent; default: over the network.
    """

    def __init__(
        self, policy: MediaPolicy, folder: Path, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._policy = policy
        self._folder = folder
        self._downloader = Downloader(policy, transport)

    def locate(self, source: str) -> Path | None:
        """The file of an address, without any network.

        Args:
            source: the address as task data give it.

        Returns:
            The local file or the downloaded copy; None where `fetch` would have to download it.

        Raises:
            MediaError: the address is refused, or names a local file that is not there.
        """
        path, url = self._find(source)
        return path if url is None or path.is_file() else None

    def fetch(self, source: str) -> Path:
        """The file of an address, downloaded where it is not here.

        Raises:
            MediaError: it cannot be had; the subclass says why.
        """
        path, url = self._find(source)
        if url is not None and not path.is_file():
            self._downloader.download(url, path)
        return path

    def close(self) -> None:
        """Close the connections."""
        self._downloader.close()

    def _find(self, source: str) -> tuple[Path, httpx.URL | None]:
        """A local file and None, or where the copy of an admitted URL is kept and the URL."""
        where = self._resolve(source)
        if isinstance(where, Path):
            return where, None
        self._policy.admit(where)
        return self._target(where), where

    def _resolve(self, source: str) -> httpx.URL | Path:
        """The local file or the URL that an address means."""
        _refuse_malformed(source)
        if (path := self._path_at_label_studio(source)) is not None:
            return _url(path)
        match = _SCHEME.match(source)
        if match is None:
            return self._policy.local_file(source)
        scheme = (match.group(1) or match.group(2)).lower()
        if scheme in ("http", "https"):
            return _url(source)
        if scheme == "file":
            host, _, path = source[match.end() :].partition("/")
            if host.lower() not in ("", "localhost"):
                raise MediaForbiddenError(f"{shown(source)} names a file of another machine")
            path = "/" + unquote(path)
            _refuse_malformed(path)
            return self._policy.local_file(path)
        raise MediaForbiddenError(
            f"{shown(source)}: {scheme}: addresses are not supported yet; give tasks an http(s) "
            "address (a pre-signed one, for example) and add its host to ALLOWED_MEDIA_HOSTS, or "
            "make the files available under MEDIA_ROOTS and give their paths"
        )

    def _path_at_label_studio(self, source: str) -> str | None:
        """The absolute address of a path that only Label Studio understands, else None."""
        base = (self._policy.label_studio_url or "").rstrip("/")
        if not source.startswith(LABEL_STUDIO_PATHS):
            # Label Studio may live below a path of its server, and then writes it into addresses.
            prefix = httpx.URL(base).path.rstrip("/")
            source = source.removeprefix(prefix)
            if not prefix or not source.startswith(LABEL_STUDIO_PATHS):
                return None
        if not base:
            raise MediaForbiddenError(
                f"{shown(source)} is kept by Label Studio: set LABEL_STUDIO_URL to its address and "
                "LABEL_STUDIO_API_KEY to a token of it"
            )
        return base + source

    def _target(self, url: httpx.URL) -> Path:
        """Where the copy of an address is kept: the query belongs to the address, no key does."""
        name = url.path
        if name.endswith("/data/local-files/"):
            name = parse_qs(url.query.decode("ascii")).get("d", [name])[0]
        suffix = PurePosixPath(name).suffix
        digest = hashlib.sha256(str(url).encode()).hexdigest()[:40]
        return self._folder / (digest + (suffix if _SUFFIX.fullmatch(suffix) else ""))


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
