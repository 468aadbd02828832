"""What the commands that work without a server share: store, resources, a project's model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from timelinelabels.cli.options import LOCAL_PROJECT, read_config
from timelinelabels.errors import PayloadError

if TYPE_CHECKING:
    from timelinelabels.control_models import ProjectModel, Resources
    from timelinelabels.settings import Settings
    from timelinelabels.store import Store


def offline_settings(folders: Sequence[Path]) -> "Settings":
    """Settings for work on this machine's own files.

    Paths relative to `folders` come first; absolute paths are admitted, since who runs the command may
    read them anyway.
    """
    from timelinelabels.log_output import configure_logging
    from timelinelabels.runtime import prepare_computation
    from timelinelabels.settings import load_settings

    settings = load_settings()
    prepare_computation(settings.device)
    roots = (*folders, *settings.media_roots, Path("/"))
    settings = settings.model_copy(update={"media_roots": roots})
    configure_logging(settings, quiet=True)
    return settings


def open_project(
    settings: "Settings", config: Path, project: str | None
) -> "tuple[Store, Resources, ProjectModel]":
    """The store, the resources and the model of the project, as published now.

    Raises:
        ConfigError: the labeling config is wrong.
    """
    from timelinelabels.control_models import ProjectModel
    from timelinelabels.labelstudio.payloads import ProjectRef
    from timelinelabels.runtime import build_resources, open_store

    try:
        ref = ProjectRef.parse(project or LOCAL_PROJECT)
    except PayloadError as error:
        raise typer.BadParameter(str(error), param_hint="--project") from None
    resources = build_resources(settings, download_weights=True)
    store = open_store(settings)
    key = store.resolve_project(ref)
    model = ProjectModel.create(
        read_config(config), resources=resources, project=key, heads=store.heads(key)
    )
    return store, resources, model
