"""What media a task may name: which local files, which servers, and who is shown the API key.

Task data are written by whoever may import tasks, so an address in them is not trusted: without this
policy a task could read any file of this machine, reach any server of its network, or have the API
key sent to a stranger.
"""

import errno
import os
import re
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import httpx

from timelinelabels.errors import (
    MediaError,
    MediaForbiddenError,
    MediaNotFoundError,
    SettingsError,
)
from timelinelabels.labelstudio.addresses import AllowedHosts

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SHOWN_CHARACTERS = 200
# Tags of Label Studio's own addresses, to tell a person that LABEL_STUDIO_URL differs from them.
LABEL_STUDIO_PATHS = ("/data/upload/", "/data/local-files/", "/storage-data/uploaded/")


@dataclass(frozen=True, kw_only=True)
class MediaPolicy:
    """The settings that decide where media may come from; nothing is admitted by default."""

    # Folders whose files tasks may name by path (MEDIA_ROOTS).
    media_roots: tuple[Path, ...] = ()
    # Label Studio's address as this machine reaches it (LABEL_STUDIO_URL).
    label_studio_url: str | None = None
    # Legacy token or personal access token (LABEL_STUDIO_API_KEY).
    api_key: str | None = field(default=None, repr=False)
    # Other servers (ALLOWED_MEDIA_HOSTS; `AllowedHosts` says how); they never get the API key.
    allowed_hosts: frozenset[str] = frozenset()
    # Largest file downloaded (MAX_MEDIA_GB).
    max_bytes: int = 20 * 1024**3
    # Seconds to wait for a connection, for the next bytes, and for a whole download.
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    total_timeout: float = 3600.0
    # A copy that was checked less long ago is not asked for again.
    recheck_seconds: float = 3600.0

    def __post_init__(self) -> None:
        AllowedHosts.parse(self.allowed_hosts)
        if self.label_studio_url is not None:
            try:
                url = httpx.URL(self.label_studio_url)
            except httpx.InvalidURL as error:
                raise SettingsError(f"LABEL_STUDIO_URL is no address: {error}") from None
            if url.scheme not in _DEFAULT_PORTS or not url.raw_host or url.userinfo:
                raise SettingsError(
                    "LABEL_STUDIO_URL must be like http://label-studio:8080, without a user name"
                )
        if self.api_key is not None and not re.fullmatch(r"[!-~]+", self.api_key):
            raise SettingsError(
                "LABEL_STUDIO_API_KEY must be a token of visible ASCII characters, without blanks"
            )

    def admit(self, url: httpx.URL) -> bool:
        """Whether a request to an admitted address carries the API key.

        Raises:
            MediaForbiddenError: the address is not admitted; the message names the setting.
        """
        if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
            raise MediaForbiddenError(f"{shown(url)} is not an http(s) address")
        if url.userinfo:
            raise MediaForbiddenError(f"{shown(url)} carries a user name or password; remove it")
        listed = self.hosts.lists(url)
        if self.is_label_studio(url):
            if self.api_key is not None:
                return True
            if not listed:
                raise MediaForbiddenError(
                    f"{shown(url)} is kept by Label Studio, which gives it to users only: set "
                    "LABEL_STUDIO_API_KEY"
                )
        if listed:
            return False
        hint = ""
        if url.path.startswith(LABEL_STUDIO_PATHS):
            known = self.label_studio_url or "not set"
            hint = f"; if that is Label Studio, set LABEL_STUDIO_URL to it (now: {known})"
        raise MediaForbiddenError(
            f"{shown(url)}: downloads from the host {_host_and_port(url)} are not allowed; add it to "
            f"ALLOWED_MEDIA_HOSTS{hint}"
        )

    @cached_property
    def hosts(self) -> AllowedHosts:
        """ALLOWED_MEDIA_HOSTS, understood."""
        return AllowedHosts.parse(self.allowed_hosts)

    def is_label_studio(self, url: httpx.URL) -> bool:
        """Whether an address is at Label Studio: scheme, host and port are those of its URL."""
        if self.label_studio_url is None:
            return False
        return _origin(url) == _origin(httpx.URL(self.label_studio_url))

    def local_file(self, path: str) -> Path:
        """The real path of a file that a task names by path.

        Args:
            path: absolute, or relative to a media root (the first root that has it wins).

        Raises:
            MediaForbiddenError: outside the media roots, whether or not there is such a file.
            MediaNotFoundError: inside them and not there.
            MediaError: there and not a readable regular file.
        """
        if not self.media_roots:
            raise MediaForbiddenError(
                f"{shown(path)} is a local path, and no folder is open to tasks: set MEDIA_ROOTS to "
                "the folders that hold the videos"
            )
        outside = MediaForbiddenError(
            f"{shown(path)} is not inside the folders of MEDIA_ROOTS, or leads out of them"
        )
        roots = [Path(os.path.realpath(root)) for root in self.media_roots]
        if ".." in Path(path).parts and Path("/") not in roots:
            raise outside
        # An absolute path swallows the root that it is joined to.
        candidates = [Path(os.path.realpath(root / path)) for root in roots]
        inside = [
            candidate
            for candidate in dict.fromkeys(candidates)
            if any(candidate.is_relative_to(root) for root in roots)
        ]
        for candidate in inside:
            if _is_file(candidate, path):
                return candidate
        if len(inside) < len(set(candidates)):
            raise outside
        # On the command line everything is open, and paths are relative to the first root.
        place = f"from {roots[0]}" if Path("/") in roots else "inside MEDIA_ROOTS"
        raise MediaNotFoundError(f"{shown(path)} is not there (looked for {place})")


def shown(source: object) -> str:
    """An address for messages and logs: one line, not too long, no password, no signature.

    Of the query only the `d` of Label Studio's local files is kept: it is the file's name, whereas
    the query of a signed address is the permission to read it.
    """
    text = re.sub(r"//[^/\s]*@", "//…@", str(source).partition("#")[0])
    address, mark, query = text.partition("?")
    if mark:
        name = query.partition("&")[0]
        keep = address.endswith("/data/local-files/") and name.startswith("d=")
        text = f"{address}?{name}" if keep else f"{address}?…"
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 1] + "…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port, the default one filled in."""
    host = url.raw_host.decode("ascii").lower()
    return url.scheme, host, url.port or _DEFAULT_PORTS.get(url.scheme)


def _host_and_port(url: httpx.URL) -> str:
    try:
        host = url.host
    except UnicodeError:  # xn--… that decodes to no name
        host = url.raw_host.decode("ascii", "backslashreplace")
    return f"{host}:{_origin(url)[2]}"


def _is_file(path: Path, named: str) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise MediaError(f"{shown(named)} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise MediaError(f"{shown(named)} is not a regular file")
    return True
