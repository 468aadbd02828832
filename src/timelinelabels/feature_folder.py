"""The folder of feature files: who may write which, what killed processes left, and the size limit.

Beside `<key>.safetensors` there may be `<key>.lock`, held while the file is made, and
`<key>.<random>.partial`, the file in the making.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from timelinelabels.errors import FeatureStoreError

logger = logging.getLogger(__name__)

SUFFIX = ".safetensors"
PARTIAL_SUFFIX = ".partial"
_LOCK_SUFFIX = ".lock"
_POLL_SECONDS = 0.1


@contextmanager
def cache_folder_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about `folder` into a FeatureStoreError."""
    try:
        yield
    except OSError as error:
        raise FeatureStoreError(
            f"The feature cache {folder} cannot be used: {error.strerror or error}. CACHE_DIR must "
            "be a folder, on a disk with free space, that this process may read and write."
        ) from error


@contextmanager
def sole_maker(path: Path) -> Iterator[None]:
    """Be the only one, of all threads and processes, that makes the feature file `path`.

    Waits for whoever is making it. The kernel ends the hold of a process that dies.

    Raises:
        FeatureStoreError: the folder cannot be written.
    """
    lock = FileLock(path.with_suffix(_LOCK_SUFFIX))
    with cache_folder_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("Waiting for another process that is making %s", path)
            lock.acquire(poll_interval=_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def unless_in_the_making(path: Path) -> Iterator[bool]:
    """Whether nobody makes `path` now; if so, nobody begins to before the block ends."""
    lock = FileLock(path.with_suffix(_LOCK_SUFFIX))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def remove_partials(path: Path) -> None:
    """Remove what earlier makers of `path` left when they were killed; the caller is its maker."""
    for partial in path.parent.glob(_partials_of(path)):
        partial.unlink(missing_ok=True)


def tidy(folder: Path, *, keep: Path, max_bytes: int | None) -> None:
    """Remove what killed processes left and then, over the limit, the least recently used files.

    Args:
        folder: of the feature files.
        keep: the feature file just made or used; it stays.
        max_bytes: limit of all feature files, finished and in the making; None: no limit.

    Raises:
        FeatureStoreError: the folder cannot be written.
    """
    with cache_folder_errors(folder):
        for lock in folder.glob(f"*{_LOCK_SUFFIX}"):
            path = lock.with_suffix(SUFFIX)
            if path == keep or (path.exists() and not any(folder.glob(_partials_of(path)))):
                continue
            with unless_in_the_making(path) as idle:
                if idle:
                    remove_partials(path)
                    if not path.exists():
                        # Whoever opened this lock meanwhile would not exclude the next one to
                        # come; both would make the same file, and the later one would replace
                        # the other's: work done twice, nothing worse.
                        lock.unlink(missing_ok=True)
        if max_bytes is not None:
            _evict(folder, keep=keep, max_bytes=max_bytes)


def _partials_of(path: Path) -> str:
    return f"{path.stem}.*{PARTIAL_SUFFIX}"


def _evict(folder: Path, *, keep: Path, max_bytes: int) -> None:
    total = 0
    candidates: list[tuple[int, int, Path]] = []
    for path in (*folder.glob(f"*{SUFFIX}"), *folder.glob(f"*{PARTIAL_SUFFIX}")):
        with suppress(FileNotFoundError):  # another process evicts, too
            status = path.stat()
            total += status.st_size
            if path.suffix == SUFFIX and path != keep:
                candidates.append((status.st_atime_ns, status.st_size, path))
    for _, size, path in sorted(candidates):
        if total <= max_bytes:
            return
        path.unlink(missing_ok=True)
        total -= size
        logger.info("Removed %s: the feature cache is over its limit", path)
    if total > max_bytes:
        logger.warning(
            "The feature cache %s is over its limit of %.3g GB (CACHE_MAX_GB) by what is in use "
            "alone: it holds %.3g GB",
            folder,
            max_bytes / 2**30,
            total / 2**30,
        )
