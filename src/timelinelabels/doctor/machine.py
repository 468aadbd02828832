"""Checks of this machine: disk, weights, the backend that runs here, the clock."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx

from timelinelabels.control_models.resources import Backbones
from timelinelabels.doctor.findings import Finding, fail, ok, warn
from timelinelabels.errors import CheckpointError, WeightsNotFoundError
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.labelstudio.connecting import BasicAuth

LITTLE_DISK, NO_DISK = 5 * 1024**3, 1024**3
CLOCK_SECONDS = 60.0
BACKEND_SECONDS = 5.0


def check_disk(
    folders: tuple[Path, ...], *, little: int = LITTLE_DISK, none: int = NO_DISK
) -> Iterator[Finding]:
    """Whether there is room where models, features and videos are kept.

    Args:
        folders: those; they need not exist yet.
        little: bytes below which it is worth a word.
        none: bytes below which nothing more can be kept.
    """
    for folder in folders:
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(there).free
        text = f"{free / 1024**3:.1f} GB are free in {folder}"
        if free >= little:
            yield ok(text)
            continue
        make = fail if free < none else warn
        yield make(text, "Make room, or set CACHE_MAX_GB and MEDIA_CACHE_MAX_GB lower")


def check_weights(backbones: Backbones, model_path: str | None) -> Finding:
    """Whether the backbone that a labeling config names can be used; None: the default one."""
    try:
        return ok(f"The weights {backbones.open(model_path).name} can be used")
    except WeightsNotFoundError:
        try:
            url = backbones.find_download(model_path)
        except WeightsNotFoundError as missing:
            return fail(
                str(missing), "The backend predicts and learns nothing before they are there"
            )
        name = url.rpartition("/")[2]
        return warn(f"The weights {name} are not there yet", f"`serve` downloads them from {url}")
    except CheckpointError as error:
        return fail(str(error), "Put other weights there, or correct model_path in the config")


def check_backend(url: str, basic_auth: BasicAuth | None) -> Finding:
    """Whether the backend answers this machine, and accepts the user and password it is given."""
    try:
        with httpx.Client(timeout=BACKEND_SECONDS, trust_env=False, auth=basic_auth) as client:
            model_class = client.get(f"{url}/health").json().get("model_class")
            status = client.get(f"{url}/versions").status_code  # /health is open to everyone
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
        return fail(
            f"The backend does not answer at {url}: {error}",
            "Start it with `timelinelabels serve`, or name its address by --backend",
        )
    if model_class != "TimelineLabelsModel":
        return fail(f"Something else answers at {url}", "Name the backend's address by --backend")
    if status == httpx.codes.UNAUTHORIZED:
        said = (
            "another BASIC_AUTH_USER or BASIC_AUTH_PASS"
            if basic_auth
            else "BASIC_AUTH_USER and _PASS"
        )
        return fail(
            f"The backend at {url} asks for {said}",
            "Run this with the backend's own environment, then `timelinelabels connect`",
        )
    return ok(f"The backend answers at {url}")


def check_clock(client: LabelStudioClient) -> Iterator[Finding]:
    """Whether Label Studio's clock and this machine's agree; nothing where it does not tell."""
    there = client.time()
    if there is None:
        return
    seconds = abs((there - datetime.now(UTC)).total_seconds())
    if seconds <= CLOCK_SECONDS:
        yield ok("The clocks of both machines agree")
    else:
        yield warn(
            f"Label Studio's clock differs from this machine's by {seconds:.0f} s",
            "Set both: tokens expire, and events are ordered by time",
        )
