"""Checks of what a project's labeling config and tasks ask for: weights, labels, videos."""

from collections.abc import Iterator

from timelinelabels.control_models.class_matching import match_classes, unknown_classes
from timelinelabels.control_models.project_model import ProjectModel
from timelinelabels.control_models.resources import Resources
from timelinelabels.control_models.timeline_labels import TimelineLabelsModel
from timelinelabels.doctor.findings import Finding, Verdict, fail, ok, warn
from timelinelabels.doctor.machine import check_weights
from timelinelabels.errors import ConfigError, MediaError, VideoError
from timelinelabels.labelstudio.api_records import LabelStudioProject
from timelinelabels.labelstudio.client import LabelStudioClient
from timelinelabels.video import probe_video

VIDEOS_LOOKED_AT = 3


def check_labeling(
    client: LabelStudioClient, project: LabelStudioProject, resources: Resources
) -> Iterator[Finding]:
    """Whether the config can be used, its weights are there and know its labels, and videos are read.

    Raises:
        LabelStudioError: Label Studio does not tell of the tasks.
    """
    try:
        models = ProjectModel.create(
            project.label_config, resources=resources, project=str(project.id)
        ).models
    except ConfigError as error:
        yield fail(str(error), "Correct it in Settings → Labeling Interface")
        return
    modes = ", ".join(
        f"{item.config.name} ({'learns' if item.trainable else 'simple'})" for item in models
    )
    yield ok(f"The labeling config can be used: {modes or 'all controls are skipped'}")
    usable = set()
    for model_path in dict.fromkeys(item.config.model_path for item in models):
        weights = check_weights(resources.backbones, model_path)
        if weights.verdict is Verdict.OK:
            usable.add(model_path)
        yield weights
    for item in models:
        if item.config.model_path in usable and not item.trainable:
            yield from _check_labels(item)
    if models:
        yield from _check_videos(client, project, models[0])


def _check_labels(model: TimelineLabelsModel) -> Iterator[Finding]:
    """Whether the labels of a control in simple mode are classes of its weights."""
    config, names = model.config, model.backbone.class_names
    if config.labels_field is not None:
        return  # each task brings labels of its own
    try:
        match_classes(config.labels, names, control=config.name)
    except ConfigError as error:
        yield fail(str(error), "Correct it in Settings → Labeling Interface")
        return
    unknown = unknown_classes(config.labels, names)
    if unknown:
        yield warn(
            f"{config.name}: no class of {model.backbone.name} is named {', '.join(unknown)}",
            'Name classes by predicted_values, or let the control learn by model_trainable="true"',
        )
    else:
        yield ok(f"{config.name}: all labels are classes of {model.backbone.name}")


def _check_videos(
    client: LabelStudioClient, project: LabelStudioProject, model: TimelineLabelsModel
) -> Iterator[Finding]:
    """Whether the first videos can be had and read, and how their frame rates fit the timeline's."""
    if project.tasks > VIDEOS_LOOKED_AT:
        yield ok(f"Of {project.tasks} tasks the videos of the first {VIDEOS_LOOKED_AT} are fetched")
    for number, task in enumerate(client.tasks(project.id, page_size=VIDEOS_LOOKED_AT)):
        if number == VIDEOS_LOOKED_AT:
            return
        who = f"The video of task {task.id}"
        try:
            config = model.config.for_task(task.data)
            path = model.resources.media.fetch(config.video_source(task.data), task_id=str(task.id))
            info = probe_video(path)
        except ConfigError as error:
            yield fail(f"{who}: {error}", "Correct the task's data or the labeling config")
        except MediaError as error:
            yield fail(
                f"{who}: {error}",
                "Label Studio must have it, and LABEL_STUDIO_API_KEY, ALLOWED_MEDIA_HOSTS or "
                "MEDIA_ROOTS must let this machine read it",
            )
        except VideoError as error:
            yield fail(f"{who}: {error}", "Make the file anew; the others are learned without it")
        else:
            rate, fps = config.frame_rate, info.average_fps
            if rate is None or fps is None or abs(float(rate) / float(fps) - 1) < 0.01:
                yield ok(f"{who} can be read")
            else:
                yield warn(
                    f"{who} has {float(fps):g} frames a second, the timeline "
                    f"{float(rate):g} (frameRate)",
                    "Labels are kept by time, so nothing shifts; but annotators step by frameRate",
                )
