"""Options that several commands share, and reading the files that they name."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from timelinelabels.errors import PayloadError

LOCAL_PROJECT = "local"

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        help="The project's labeling config (XML), as in Label Studio's Settings → Labeling Interface.",
        exists=True,
        dir_okay=False,
        readable=True,
    ),
]
ProjectOption = Annotated[
    str | None,
    typer.Option(
        "--project",
        "-p",
        help="Label Studio's project id, to share the model with a running server. "
        f"Without it the model belongs to the project '{LOCAL_PROJECT}' of this MODEL_ROOT.",
    ),
]


def read_json(path: Path) -> Any:
    """The JSON in a file.

    Raises:
        PayloadError: it is not JSON; names the file and the place.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"{path} is not a JSON file: {error}") from None


def read_config(path: Path) -> str:
    """The labeling config in a file, decoded as its own declaration says."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1")


def make_folder_of(output: Path, option: str) -> None:
    """Make the folder of a file that a command will write.

    Args:
        output: the file.
        option: that names it, for the message.

    Raises:
        typer.BadParameter: the folder cannot be made or written.
    """
    folder = output.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(
            f"the folder {folder} cannot be made: {error.strerror}", param_hint=option
        ) from error
    if not os.access(folder, os.W_OK):
        raise typer.BadParameter(f"the folder {folder} cannot be written", param_hint=option)
