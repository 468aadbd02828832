"""The SHA-256 of a file's content, remembered so that an unchanged file is read only once.

What is remembered is one small JSON file per file system entry, named by device and inode, that
holds size, mtime_ns, ctime_ns and the hash. All five must be equal for the memory to count: a
replaced or edited file has another inode, size or change time (ctime cannot be set back by a
program), so its content is read again; a file that was only touched is read again and gives the
hash that it had.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from pathlib import Path

from timelinelabels.errors import FeatureStoreError

_SETTLED_NS = 20_000_000
"""A change this recent (nanoseconds) may be followed by another that gets the same time stamp:
kernels stamp files by a clock that ticks every 1 to 10 ms."""

_ATTEMPTS = 3  # how often a file that changes while it is read is begun again


def content_hash(path: Path, *, memo: Path | None = None) -> str:
    """SHA-256 of the content of `path`, in hex (64 characters).

    Args:
        path: the file.
        memo: folder where hashes are remembered (made if missing); None reads the file each time.

    Raises:
        OSError: the file cannot be read, or it keeps changing while it is read.
        FeatureStoreError: the memo folder cannot be written.
    """
    if memo is not None:
        known = known_content_hash(path, memo=memo)
        if known is not None:
            return known
    for _ in range(_ATTEMPTS):
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            _let_the_clock_tick(before)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            after = os.fstat(file.fileno())
        if _identity(before) == _identity(after):
            if memo is not None:
                _remember(memo, after, digest)
            return digest
    raise OSError(f"{path} is being written: it changed each time that it was read")


def known_content_hash(path: Path, *, memo: Path) -> str | None:
    """The remembered hash of `path` if it has not changed since; never reads its content.

    Returns:
        None where the hash is not known; `content_hash` finds it.

    Raises:
        OSError: there is no such file, or it cannot be reached.
    """
    status = path.stat()
    try:
        record = json.loads(_record(memo, status).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:  # cut off by a full disk, or not ours: the next content_hash replaces it
        return None
    if not isinstance(record, dict) or record.get("file") != list(_identity(status)):
        return None
    digest = record.get("sha256")
    return digest if isinstance(digest, str) and len(digest) == 64 else None


def _identity(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _record(memo: Path, status: os.stat_result) -> Path:
    """One record per inode: when the file changes its record is overwritten, not added to."""
    return memo / f"{status.st_dev:x}-{status.st_ino:x}.json"


def _let_the_clock_tick(status: os.stat_result) -> None:
    """Wait until a change after this moment is sure to get another ctime than `status` has."""
    age = time.time_ns() - status.st_ctime_ns
    if 0 <= age < _SETTLED_NS:
        time.sleep((_SETTLED_NS - age) / 1e9)


def _remember(memo: Path, status: os.stat_result, digest: str) -> None:
    record = json.dumps({"file": _identity(status), "sha256": digest})
    try:
        memo.mkdir(parents=True, exist_ok=True)
        target = _record(memo, status)
        partial = target.with_suffix(f".{secrets.token_hex(4)}.partial")
        partial.write_text(record)
        partial.replace(target)
    except OSError as error:
        raise FeatureStoreError(
            f"Content hashes cannot be remembered in {memo}: {error.strerror or error}. CACHE_DIR "
            "must be a folder on a disk with free space that this process may write."
        ) from error
