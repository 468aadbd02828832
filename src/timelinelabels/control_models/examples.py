"""Annotated tasks → training examples on the frames of their files."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from timelinelabels.errors import ConfigError, MediaError, VideoError
from timelinelabels.features import Features
from timelinelabels.labelstudio.config import TimelineLabelsConfig
from timelinelabels.labelstudio.payloads import AnnotatedTask
from timelinelabels.labelstudio.regions import convert_timelinelabels_to_probs
from timelinelabels.labelstudio.timeline import Timeline
from timelinelabels.training import Example

logger = logging.getLogger(__name__)

FeaturesOf = Callable[[str], Features]


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A task that could not be learned from."""

    task_id: str
    reason: str


def timeline_of(features: Features, config: TimelineLabelsConfig) -> Timeline:
    """The file's frames on the grid of a config whose frame rate is resolved.

    Raises:
        VideoError: the file claims a length that no timeline can have.
    """
    if config.frame_rate is None:
        raise ValueError("resolve the frame rate first: config.for_task(data)")
    return Timeline.of(
        features.pts,
        time_base=features.time_base,
        duration=features.duration,
        frame_rate=config.frame_rate,
    )


def collect_examples(
    tasks: Sequence[AnnotatedTask], config: TimelineLabelsConfig, features_of: FeaturesOf
) -> tuple[list[Example], list[LeftOut]]:
    """The examples of one control, and the tasks that had to be left out, with the reason.

    A video that cannot be read never blocks the others.

    Args:
        tasks: with their current annotations.
        config: of the control.
        features_of: features of a video source; raises MediaError or VideoError.
    """
    label_map = config.label_map
    # An annotation made before a label got its alias still carries the label's value.
    known_names = {label.value: label_map[label.name] for label in config.labels} | label_map
    examples: list[Example] = []
    left_out: list[LeftOut] = []
    for task in tasks:
        try:
            resolved = config.for_task(task.data)
            features = features_of(resolved.video_source(task.data))
            timeline = timeline_of(features, resolved)
        except (ConfigError, MediaError, VideoError) as error:
            logger.warning("Task %s is left out of the training: %s", task.task_id, error)
            left_out.append(LeftOut(task_id=str(task.task_id), reason=str(error)))
            continue
        reachable = int(timeline.reachable.sum())  # the unreachable frames are the last ones
        for annotation in task.annotations:
            grid = convert_timelinelabels_to_probs(
                annotation.result, known_names, timeline.length, from_name=config.name
            )
            examples.append(
                Example(
                    media_hash=features.media_hash,
                    features=features.values[:reachable],
                    targets=timeline.to_frames(grid)[:reachable],
                )
            )
    return examples, left_out
