"""`timelinelabels predict`: timelines for videos or tasks, without a server."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from timelinelabels.cli.options import ConfigOption, ProjectOption, make_folder_of, read_json

if TYPE_CHECKING:
    from timelinelabels.cli.side_by_side import Wanted
    from timelinelabels.control_models import ProjectModel


def predict(
    config: ConfigOption,
    videos: Annotated[
        list[Path] | None,
        typer.Argument(metavar="VIDEO", help="Video files (instead of --tasks)."),
    ] = None,
    tasks: Annotated[
        Path | None,
        typer.Option(
            "--tasks",
            "-t",
            help="Tasks as JSON (Label Studio's format); video paths are absolute or relative to it.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    project: ProjectOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write the tasks; its folder is made. Default: standard output.",
            dir_okay=False,
        ),
    ] = None,
) -> None:
    """Predict timelines and write tasks with predictions, ready to import into Label Studio.

    A video that cannot be read gets no prediction; the others go on and the command ends with 1.

    Example: timelinelabels predict --config config.xml --tasks tasks.json --output predicted.json
    """
    if (tasks is None) == (not videos):
        raise typer.BadParameter("give either --tasks FILE or one or more VIDEO files")
    if output is not None:
        make_folder_of(output, "--output")  # before the work, not after it
    from timelinelabels.cli.console import make_console, print_error, progress_bars
    from timelinelabels.cli.offline import offline_settings, open_project
    from timelinelabels.cli.side_by_side import extracted
    from timelinelabels.errors import (
        ConfigError,
        MediaError,
        TimelineLabelsError,
        TrainingError,
        VideoError,
    )
    from timelinelabels.labelstudio.payloads import parse_export
    from timelinelabels.runtime import model_version

    console = make_console()
    settings = offline_settings([(tasks.resolve().parent if tasks else Path.cwd())])
    store, resources, model = open_project(settings, config, project)
    if not model.predicts:
        raise TrainingError(
            f"Project {model.project} has no trained model in MODEL_ROOT="
            f"{settings.model_root.resolve()}. Train it first: timelinelabels train --config {config} "
            "--tasks export.json"
        )
    version = model_version(store, model)
    if tasks is not None:
        given = [(task.task_id, task.data) for task in parse_export(read_json(tasks))]
    else:
        field = model.models[0].config.video_field
        given = [("", {field: str(video)}) for video in videos or []]
    results: list[dict[str, Any]] = []
    failed = 0
    with (
        progress_bars(console) as progress,
        extracted(resources, _wanted(model, given), progress) as found,
    ):
        bar = progress.add_task("Predicting", total=len(given), note=version)
        for want, features in found:
            task_id, data = want.item
            result: dict[str, Any] = {"data": data, "predictions": []}
            if task_id.isascii() and task_id.isdigit():
                result = {"id": int(task_id), **result}
            try:
                if isinstance(features, TimelineLabelsError):
                    raise features
                prediction = model.predict(data, features)
                if prediction is not None:
                    result["predictions"] = [{"model_version": version, **prediction}]
            except (MediaError, VideoError, ConfigError) as error:
                failed += 1
                print_error(console, error)
            results.append(result)
            progress.advance(bar)
    _write(results, output)
    if output is not None:
        typer.echo(f"{len(results) - failed} of {len(results)} tasks predicted: {output}", err=True)
    if failed:
        raise typer.Exit(1)


def _wanted(
    model: "ProjectModel", given: Sequence[tuple[str, Any]]
) -> "Iterator[Wanted[tuple[str, Any]]]":
    """The features that each (task id, task data) needs."""
    from timelinelabels.cli.side_by_side import Wanted
    from timelinelabels.errors import MediaError

    for item in given:
        try:
            sources = sorted(model.sources(item[1]), key=str)
        except MediaError:
            sources = []  # it is met again, and told, when the task is predicted
        yield Wanted(
            item=item, name=Path(sources[0].video).name if sources else "", sources=sources
        )


def _write(results: list[dict[str, Any]], output: Path | None) -> None:
    """Write the tasks as JSON, a file in one step."""
    text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    # A file name that is not Unicode holds lone surrogates: written as JSON's own \udc.. escapes.
    content = text.encode("utf-8", "backslashreplace")
    if output is None:
        typer.echo(content, nl=False)
        return
    draft = output.with_name(f".{output.name}.partial")
    draft.write_bytes(content)
    draft.replace(output)
