"""Downloaded media on disk: files by their content, and what was learned of the addresses.

::

    media/<sha256>.mp4               the file; addresses with the same content share it
    media/addresses/<name>.json      the address's record; it stays when the file is dropped, so that
                                     features, which are kept by content, are still found
    media/<name>.partial             a download that is not complete, and
    media/<name>.partial.json        what it may be continued by
    media/<name>.lock                one download for all who wait

`name` is made from the address as the task gives it.
"""

import hashlib
import json
import logging
import os
import secrets
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import httpx
from filelock import FileLock

from timelinelabels.content_hash import content_hash

logger = logging.getLogger(__name__)

# A file that was asked for this recently may be about to be opened.
IN_USE_SECONDS = 900.0
ABANDONED_SECONDS = 7 * 86400.0


@dataclass(frozen=True, kw_only=True)
class Validators:
    """What tells one state of a file from another, as the server says."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """From an answer's headers."""
        return cls(
            etag=response.headers.get("ETag"), last_modified=response.headers.get("Last-Modified")
        )

    def __bool__(self) -> bool:
        return self.etag is not None or self.last_modified is not None

    def agrees(self, other: "Validators") -> bool:
        """Whether both tell of the same state; False where they cannot be compared."""
        if self.etag is not None and other.etag is not None:
            return self.etag.removeprefix("W/") == other.etag.removeprefix("W/")
        return self.last_modified is not None and self.last_modified == other.last_modified


@dataclass(frozen=True, kw_only=True)
class MediaRecord:
    """What is known of an address."""

    # Of the file's content, in hex.
    sha256: str
    # Of the file's name, with its dot, or "".
    suffix: str
    # In bytes.
    size: int
    etag: str | None
    last_modified: str | None
    # Epoch seconds when the server last said that this is what it has.
    checked_at: float

    @property
    def validators(self) -> Validators:
        """For the next question to the server."""
        return Validators(etag=self.etag, last_modified=self.last_modified)


class MediaCache:
    """The folder; safe for many threads and processes.

    Args:
        folder: made when the first file comes.
        max_bytes: files beyond this size are dropped, those not used for longest first.
    """

    def __init__(self, folder: Path, *, max_bytes: int | None = None) -> None:
        self.folder = folder
        self._max_bytes = max_bytes

    def lock(self, name: str) -> FileLock:
        """Held while an address is downloaded or checked."""
        return FileLock(self.folder / f"{name}.lock")

    def record(self, name: str) -> MediaRecord | None:
        """What is known of an address."""
        try:
            return MediaRecord(**json.loads(self._record_path(name).read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError):  # cut off by a full disk, or of another version
            return None

    def path(self, record: MediaRecord) -> Path:
        """Where the file is, if it was not dropped."""
        return self.folder / f"{record.sha256}{record.suffix}"

    def partial(self, name: str) -> "PartialFile":
        """The address's incomplete download."""
        return PartialFile(self.folder / f"{name}.partial")

    def confirm(self, name: str, record: MediaRecord, *, checked_at: float) -> None:
        """The server was asked again, and has what is here."""
        self._remember(name, replace(record, checked_at=checked_at))

    def keep(self, name: str, suffix: str, partial: "PartialFile") -> Path:
        """Make a complete download the address's file."""
        record = MediaRecord(
            sha256=content_hash(partial.path),
            suffix=suffix,
            size=partial.size,
            etag=partial.validators.etag,
            last_modified=partial.validators.last_modified,
            checked_at=time.time(),
        )
        path = self.path(record)
        partial.path.replace(path)
        _sync(self.folder)
        self._remember(name, record)
        partial.discard()
        self._tidy(keep=path)
        return path

    def _remember(self, name: str, record: MediaRecord) -> None:
        target = self._record_path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(target, json.dumps(asdict(record)))

    def _record_path(self, name: str) -> Path:
        return self.folder / "addresses" / f"{name}.json"

    def _tidy(self, *, keep: Path) -> None:
        """Drop what was not used for longest, until the rest fits; and abandoned downloads."""
        if self._max_bytes is None:
            return
        files = []
        now = time.time()
        for path in self.folder.iterdir():
            try:
                status = path.stat()
            except OSError:
                continue  # another process dropped it
            if ".partial" in path.name:
                if now - status.st_mtime > ABANDONED_SECONDS:
                    path.unlink(missing_ok=True)
            elif path.suffix != ".lock" and path.is_file():
                files.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self._max_bytes
        for used_at, size, path in sorted(files):
            if excess <= 0 or path == keep or now - used_at < IN_USE_SECONDS:
                continue
            path.unlink(missing_ok=True)
            excess -= size
            logger.info("Dropped %s from the media cache (%d bytes)", path.name, size)


class PartialFile:
    """A download that is not complete, and what it may be continued by."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state_path = path.with_name(path.name + ".json")
        self.validators = Validators()
        # Of the whole file; None where the server does not say.
        self.total: int | None = None
        try:
            state = json.loads(self._state_path.read_bytes())
            self.validators = Validators(etag=state["etag"], last_modified=state["last_modified"])
            self.total = state["total"]
        except (OSError, ValueError, TypeError, KeyError):
            self.path.unlink(missing_ok=True)  # nobody knows of what state of the file it is

    @property
    def size(self) -> int:
        """Bytes that are here."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def resumable(self) -> bool:
        """Whether the rest can be told to be the rest of this."""
        return bool(self.validators) and self.total is not None and self.size > 0

    def begin(self, validators: Validators, total: int | None) -> None:
        """Start anew with what the server says of the file."""
        self.path.write_bytes(b"")
        self.validators, self.total = validators, total
        state = {
            "etag": validators.etag,
            "last_modified": validators.last_modified,
            "total": total,
        }
        _write_whole(self._state_path, json.dumps(state))

    def discard(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._state_path.unlink(missing_ok=True)


def name_of(address: str) -> str:
    """The name of an address in the folder."""
    return hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _write_whole(target: Path, text: str) -> None:
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    draft.write_text(text)
    draft.replace(target)


def _sync(folder: Path) -> None:
    """Bring a rename to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
