"""`timelinelabels train`: learn from an export, without a server."""

from pathlib import Path
from typing import Annotated

import typer

from timelinelabels.cli.options import ConfigOption, ProjectOption, read_json


def train(
    config: ConfigOption,
    tasks: Annotated[
        Path,
        typer.Option(
            "--tasks",
            "-t",
            help="A Label Studio JSON export (Export → JSON) with annotations. Video paths in it are "
            "absolute or relative to this file.",
            exists=True,
            dir_okay=False,
        ),
    ],
    project: ProjectOption = None,
) -> None:
    """Train a model on exactly the annotations of an export and publish it.

    With --project the annotations are also remembered, so that a server on the same MODEL_ROOT goes on
    learning from them together with new ones.

    Example: timelinelabels train --config config.xml --tasks export.json
    """
    from timelinelabels.cli.console import frame_bar, make_console, progress_bars
    from timelinelabels.cli.offline import offline_settings, open_project
    from timelinelabels.errors import ConfigError, MediaError, VideoError
    from timelinelabels.labelstudio.payloads import parse_export
    from timelinelabels.metrics import FrameScores

    console = make_console()
    settings = offline_settings([tasks.resolve().parent])
    exported = [task for task in parse_export(read_json(tasks)) if task.annotations]
    store, resources, model = open_project(settings, config, project)
    if not model.trainable:
        raise ConfigError(
            f'{config}: no <TimelineLabels> has model_trainable="true", so there is nothing to train. '
            "In simple mode `timelinelabels predict` works at once."
        )
    with progress_bars(console) as progress:
        videos = progress.add_task("Reading videos", total=len(exported), note="")
        for task in exported:
            try:
                for source in sorted(model.sources(task.data), key=str):
                    with frame_bar(progress, Path(source.video).name) as report:
                        resources.extract(source, progress=report)
            except (MediaError, VideoError):
                pass  # learn() meets it again, leaves the task out and gives the reason
            progress.advance(videos)
        learning = progress.add_task("Training", total=None, note="")

        def show(stage: str, epoch: int, scores: FrameScores | None) -> None:
            note = f"{stage}" + (f" · F1 {scores.f1:.2f}" if scores else "")
            progress.update(learning, completed=epoch, note=note)

        number = store.next_version_number(model.project, above=model.newest_written())
        learned = model.learn(exported, number, even_if_worse=True, on_epoch=show)
    version = f"v{number} · {learned.describe()}"
    store.publish(
        None,
        model.project,
        number=number,
        heads=dict(learned.heads),
        fingerprint=learned.prediction_fingerprint(),
        text=version,
    )
    if project is not None:
        store.import_annotations(
            model.project, [record for task in exported for record in task.annotations]
        )
    typer.echo(f"Published {version}")
    for control in learned.models:
        published = control.head_version() if control.trainable else None
        if published is None:
            continue
        manifest = published.manifest
        scores, source = manifest["scores"], manifest["learned_from"]
        typer.echo(
            f"  {control.config.name}: {source['annotations']} annotations of {source['videos']} videos, "
            f"{source['frames']} frames; frame F1 (macro) {scores['frame_f1_macro']:.3f}, "
            f"accuracy {scores['frame_accuracy']:.3f} on {scores['measured_on']}"
        )
        typer.echo(f"  model: {published.path}")
        for item in source["left_out"]:
            typer.secho(
                f"  left out: task {item['task_id']}: {item['reason']}", fg="yellow", err=True
            )
