"""Which weights file is used, and fetching the default ones.

Weights come from one folder (MODEL_ROOT). A labeling config, which any project manager may edit,
can name a file in it, never one outside; links are not followed, because they lead outside unseen.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
import time
import zipfile
from pathlib import Path, PurePosixPath

import httpx

from timelinelabels.errors import (
    CheckpointError,
    UnknownWeightsError,
    WeightsForbiddenError,
    WeightsNotFoundError,
)

DEFAULT_WEIGHTS = "yolov8n-cls.pt"
PUBLISHED_AT = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
"""The release of weights that Ultralytics 8.4 itself downloads from (ultralytics/utils/downloads.py)."""

PUBLISHED = frozenset(
    f"{family}{size}-cls.pt" for family in ("yolov8", "yolo11", "yolo26") for size in "nsmlx"
)

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_DEADLINE = 1800.0  # seconds for a whole download
_MAX_BYTES = 512 * 2**20  # the largest published classification weights have 120 MB
_CHUNK = 2**18

logger = logging.getLogger(__name__)


def resolve_weights(model_path: str | None, *, model_root: Path, allow_custom: bool) -> Path:
    """The file that a labeling config's `model_path` means; it need not exist.

    Args:
        model_path: relative to `model_root`, or absolute and inside it; None: the default weights.
        model_root: the only folder that weights are read from.
        allow_custom: whether a config may choose (ALLOW_CUSTOM_MODEL_PATH).

    Raises:
        WeightsForbiddenError: the path leads out of `model_root`, goes through a link, is not a .pt
            file, or custom weights are switched off.
    """
    root = model_root.resolve()
    if model_path is None:  # put there by whoever runs the server: it may be a link
        return root / DEFAULT_WEIGHTS
    if not allow_custom:
        raise WeightsForbiddenError(
            f"model_path={model_path!r}: choosing weights is switched off on this server "
            "(ALLOW_CUSTOM_MODEL_PATH=false). Remove model_path to use the default weights "
            f"{DEFAULT_WEIGHTS}, or ask whoever runs the server."
        )
    path = PurePosixPath(model_path)
    if path.is_absolute():
        inside = [folder for folder in (root, model_root.absolute()) if path.is_relative_to(folder)]
        if not inside:
            raise _forbidden(model_path, root, "it is an absolute path to somewhere else")
        path = path.relative_to(inside[0])
    if ".." in path.parts or "\0" in model_path or "\\" in model_path:
        raise _forbidden(model_path, root, 'it contains "..", a backslash or a NUL')
    if path.suffix != ".pt":
        raise _forbidden(model_path, root, "its name does not end in .pt")
    target = root
    for part in path.parts:
        target = target / part
        if target.is_symlink():
            raise _forbidden(
                model_path, root, f"{part!r} is a symbolic link; put the file itself there"
            )
    return target


def missing_weights(path: Path) -> WeightsNotFoundError:
    """What to say of weights that are not there, where they must not be downloaded.

    Args:
        path: where they belong.
    """
    if path.name not in PUBLISHED:
        return UnknownWeightsError(
            f"There are no weights {path.name} in {path.parent}. Put the file there, or correct "
            f"model_path: only the weights that Ultralytics publishes ({DEFAULT_WEIGHTS} and the like) "
            "are downloaded."
        )
    return WeightsNotFoundError(
        f"The weights {path.name} are not in {path.parent} yet: a worker downloads them, or put "
        f"{PUBLISHED_AT}/{path.name} there by hand. The log says how the download goes."
    )


def ensure_weights(path: Path, *, published_at: str = PUBLISHED_AT) -> None:
    """Download weights that Ultralytics publishes, unless they are there already.

    Args:
        path: where the file belongs; its name decides what is downloaded.
        published_at: the URL of the folder that holds the published files.

    Raises:
        UnknownWeightsError: the file is not there, and Ultralytics does not publish such a one.
        WeightsNotFoundError: it is not there and could not be downloaded; says what to put where.
    """
    if path.is_file():
        return
    url = _published_url(path, published_at)
    logger.info("Downloading %s to %s (once)", url, path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(url, path)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, _BadDownloadError) as error:
        raise _not_downloaded(path, url, error) from error


def find_download(path: Path, *, published_at: str = PUBLISHED_AT) -> str:
    """The URL that `ensure_weights` would download; its server is asked, nothing is downloaded.

    Args:
        path: where the missing file belongs.
        published_at: as for `ensure_weights`.

    Raises:
        WeightsNotFoundError: it is not published, or cannot be had; says what to put where.
    """
    url = _published_url(path, published_at)
    try:
        # Not HEAD: the servers that releases are kept on sign an address for GET.
        with httpx.stream("GET", url, timeout=_TIMEOUT, follow_redirects=True) as response:
            response.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _not_downloaded(path, url, error) from error
    return url


def _published_url(path: Path, published_at: str) -> str:
    if path.name not in PUBLISHED:
        raise missing_weights(path)
    return f"{published_at}/{path.name}"


def _not_downloaded(path: Path, url: str, error: Exception) -> WeightsNotFoundError:
    return WeightsNotFoundError(
        f"The weights {path.name} are not in {path.parent.resolve()} and could not be downloaded "
        f"({error or type(error).__name__}). Download {url} on a machine with internet access and "
        f"put it there as {path.name}."
    )


class _BadDownloadError(CheckpointError):
    """What the server sent is not a checkpoint."""


def _download(url: str, path: Path) -> None:
    """Stream `url` into a file beside `path`, check it, and put it in place in one step."""
    ends = time.monotonic() + _DEADLINE
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    partial = Path(name)
    try:
        with (
            os.fdopen(descriptor, "wb") as file,
            httpx.stream("GET", url, timeout=_TIMEOUT, follow_redirects=True) as response,
        ):
            response.raise_for_status()
            if url.startswith("https:") and response.url.scheme != "https":
                raise _BadDownloadError("the server redirects to an address without encryption")
            for chunk in response.iter_bytes(_CHUNK):
                file.write(chunk)
                if file.tell() > _MAX_BYTES:
                    raise _BadDownloadError(f"the server sends more than {_MAX_BYTES // 2**20} MB")
                if time.monotonic() > ends:
                    raise _BadDownloadError(
                        f"it was not complete after {_DEADLINE / 60:.0f} minutes"
                    )
            file.flush()
            os.fsync(file.fileno())
        if not zipfile.is_zipfile(partial):  # a login page of the network, for example
            raise _BadDownloadError("what the server sent is not a PyTorch checkpoint")
        partial.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _forbidden(model_path: str, root: Path, reason: str) -> WeightsForbiddenError:
    return WeightsForbiddenError(
        f"model_path={model_path!r} is refused: {reason}. It must name a .pt file inside MODEL_ROOT "
        f"({root}), for example model_path={DEFAULT_WEIGHTS!r}."
    )
