"""Which tasks show which videos: a video never stands on both sides of a split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from timelinelabels.control_models import FeatureSource, ProjectModel, Resources
from timelinelabels.control_models.examples import LeftOut
from timelinelabels.errors import ConfigError, MediaError, TrainingError, VideoError
from timelinelabels.features import Features
from timelinelabels.labelstudio.payloads import AnnotatedTask
from timelinelabels.model_registry import ModelRegistry

FeaturesOf = Callable[[FeatureSource], Features]
PROJECT = "evaluation"


@dataclass(frozen=True, kw_only=True)
class VideoGroup:
    """Annotated tasks that show the same video."""

    # Content hashes of the files.
    media: frozenset[str]
    tasks: tuple[AnnotatedTask, ...]


def trial_model(label_config: str, resources: Resources, folder: Path) -> ProjectModel:
    """A project's model that learns into `folder` and touches no published version.

    Raises:
        ConfigError: the labeling config is wrong.
    """
    registry = ModelRegistry(folder, keep=2)
    return ProjectModel.create(
        label_config, resources=replace(resources, registry=registry), project=PROJECT
    )


def group_by_video(
    model: ProjectModel, tasks: Sequence[AnnotatedTask], features_of: FeaturesOf
) -> tuple[list[VideoGroup], list[LeftOut]]:
    """Annotated tasks by the videos they show, in the order of the tasks; and what cannot be read.

    Tasks without an annotation are passed over.
    """
    groups: list[VideoGroup] = []
    left_out: list[LeftOut] = []
    for task in tasks:
        if not task.annotations:
            continue
        try:
            sources = sorted(model.sources(task.data), key=str)
            media = frozenset(features_of(source).media_hash for source in sources)
            for control in model.models:
                control.config.for_task(task.data)
        except (ConfigError, MediaError, VideoError) as error:
            left_out.append(LeftOut(task_id=task.task_id, reason=str(error)))
            continue
        same = [group for group in groups if group.media & media]
        joined = VideoGroup(
            media=frozenset().union(media, *(group.media for group in same)),
            tasks=(*(item for group in same for item in group.tasks), task),
        )
        place = groups.index(same[0]) if same else len(groups)
        groups = [group for group in groups if group not in same]
        groups.insert(place, joined)
    return groups, left_out


def tasks_of(groups: Sequence[VideoGroup]) -> list[AnnotatedTask]:
    """All tasks of these videos."""
    return [task for group in groups for task in group.tasks]


def need_videos(groups: Sequence[VideoGroup], at_least: int, advice: str) -> None:
    """Raise TrainingError where there are fewer videos than `at_least`."""
    if len(groups) < at_least:
        raise TrainingError(
            f"{at_least} different annotated videos that can be read are needed, found "
            f"{len(groups)}. {advice}"
        )
